"""`python -m ghostnet`: the command line."""

import sys

from ghostnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
