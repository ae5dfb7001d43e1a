"""`python -m ghostnet`: the command line."""

import sys

from ghostnet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
