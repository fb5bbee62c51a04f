"""What the command exits with; docs/output.md tells users."""

import signal
from typing import Final

CLEAN: Final = 0
INCIDENTS: Final = 1
USAGE: Final = 2
INPUT_FAILED: Final = 3
# What shells report for a program that its reader, or the user, ended.
PIPE_CLOSED: Final = 128 + signal.SIGPIPE
INTERRUPTED: Final = 128 + signal.SIGINT
