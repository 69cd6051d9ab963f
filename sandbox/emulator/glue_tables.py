"""Makes GetTables of MiniStack match names with a regular expression, as AWS does. Runs in the emulator's process."""

import re

from ministack.services import glue

glue._simple_glob_match = lambda pattern, name: re.fullmatch(pattern, name) is not None
