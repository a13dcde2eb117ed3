"""`python -m clmot` is `clmot`."""

from clmot.cli import main

main()
