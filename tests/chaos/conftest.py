"""What a system has no means for is not collected there."""

import sys

# Nothing but Linux lets one process limit the files of another.
collect_ignore = [] if sys.platform == "linux" else ["test_disk.py"]
