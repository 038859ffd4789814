"""Checks of finished files.

Threads: may run them at the same time; register a check before threads begin to export.
"""

from kqat.export.checks.run import CHECKS, check_export, register
from kqat.export.checks.summary import Summary, check_file, summarize

__all__ = ["CHECKS", "Summary", "check_export", "check_file", "register", "summarize"]
