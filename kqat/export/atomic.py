"""Writes files whole or not at all."""

from kqat.core.atomic import os as os
from kqat.core.atomic import write_atomically as write_atomically
