"""`python -m ops`: what the launcher `cdc` runs."""

import sys

from ops.cli import main

sys.exit(main())
