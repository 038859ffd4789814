from kqat.export.checks.run import CHECKS, check_export, register
from kqat.export.checks.summary import Summary, check_file, summarize

__all__ = ["CHECKS", "Summary", "check_export", "check_file", "register", "summarize"]
