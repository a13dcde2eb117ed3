"""`python -m clmot` is `clmot`."""

from clmot.cli.main import main

main()
