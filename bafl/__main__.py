"""`python -m bafl` is `bafl`."""

import sys

from bafl.cli import main

if __name__ == "__main__":
    sys.exit(main())
