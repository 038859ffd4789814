"""What both Keras versions have in common: a model as calls of named operations on numbered tensors."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Place:
    """A tensor, by number."""

    number: int


@dataclass(frozen=True)
class Part:
    """A layer or an operation.

    Args:
        name: Name in the model.
        kind: Class of a layer (`"Conv2D"`), or `"ops."` and the name of an operation (`"ops.add"`).
        config: What makes a layer again; empty for operations.
        weights: Its weights, in the layer's own order.
        trainable: Whether they are trained.
    """

    name: str
    kind: str
    config: dict = field(default_factory=dict)
    weights: list[np.ndarray] = field(default_factory=list)
    trainable: bool = True


@dataclass(frozen=True)
class Call:
    """One use of a part.

    Args:
        part: Its number in `Record.parts`.
        args: Positional arguments, tensors replaced by `Place`.
        kwargs: Keyword arguments, the same.
        outputs: The tensors that it returns, flat.
    """

    part: int
    args: tuple
    kwargs: dict
    outputs: tuple[Place, ...]


@dataclass
class Port:
    """An input of a model.

    Args:
        place: Its tensor.
        name: Its name.
        shape: Its dimensions, the batch first.
        dtype: Its type.
    """

    place: Place
    name: str
    shape: tuple
    dtype: str


@dataclass
class Record:
    """A model of either version.

    Args:
        name: Its name.
        inputs: Structure of `Port`.
        outputs: Structure of `Place`.
        parts: Its layers and operations.
        calls: In topological order.
    """

    name: str
    inputs: Any
    outputs: Any
    parts: list[Part] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
