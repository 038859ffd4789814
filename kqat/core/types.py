"""Names of types that many signatures share."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]
Axis: TypeAlias = int | Sequence[int] | None  # one axis, several, or one scale for the whole tensor
Shape: TypeAlias = tuple[int | None, ...]  # `None` for a size that is not known
Tensor: TypeAlias = Any  # a tensor of Keras's backend or a symbolic one, which have no type in common
