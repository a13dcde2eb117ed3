"""One script a stage. What keeps a stage's libraries from loading, such as a disk that is full, is a sentence too."""

import sys

from clmot.errors import explain_refusals

if sys.argv[0] == "-m":  # as a script, which is not imported yet
    sys.excepthook = explain_refusals
