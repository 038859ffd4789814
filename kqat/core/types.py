"""Names of types that many signatures share."""

import os
from collections.abc import Sequence
from typing import TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]
Axis: TypeAlias = int | Sequence[int] | None  # one axis, several, or one scale for the whole tensor
