"""Lets the weights of a layer stand for themselves in a recording of its call, as its inputs do."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras

from kqat.ops.arrays import as_numpy


class Stand:
    """What symbolic tensors stand for during a recording.

    Args:
        variables: Variable that a symbolic tensor stands for, by the identity of the tensor.
        constants: Values of tensors that layers were called on, likewise.
    """

    def __init__(self):
        self.variables: dict[int, keras.Variable] = {}
        self.constants: dict[int, Any] = {}
        self._tensors: list[keras.KerasTensor] = []  # keeps them alive, and their identities with them

    def for_variable(self, variable: keras.Variable) -> keras.KerasTensor:
        """Returns a symbolic tensor in place of a variable."""
        tensor = self._tensor(variable)
        self.variables[id(tensor)] = variable
        return tensor

    def for_constant(self, value) -> keras.KerasTensor:
        """Returns a symbolic tensor in place of a tensor with known values."""
        tensor = self._tensor(value)
        self.constants[id(tensor)] = as_numpy(value)
        return tensor

    def _tensor(self, like) -> keras.KerasTensor:
        dtype = keras.backend.standardize_dtype(like.dtype)
        self._tensors.append(keras.KerasTensor(tuple(like.shape), dtype))
        return self._tensors[-1]

    @property
    def known(self) -> set[int]:
        """Identities of all that no call of the recording makes."""
        return {*self.variables, *self.constants}


class _Part:
    """Stands for a layer inside; called on known values, it takes them for symbols, which leave a record."""

    def __init__(self, layer: keras.layers.Layer, stand: Stand):
        self.__dict__.update(_layer=layer, _stand=stand)

    def __call__(self, *args, **kwargs):
        layer: Any = self._layer
        leaves = keras.tree.flatten((args, kwargs))
        if layer.variables and not any(isinstance(leaf, keras.KerasTensor) for leaf in leaves):
            replace = lambda x: self._stand.for_constant(x) if keras.ops.is_tensor(x) else x  # noqa: E731
            args, kwargs = keras.tree.map_structure(replace, (args, kwargs))
        return layer(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._layer, name)

    def __setattr__(self, name, value):
        setattr(self._layer, name, value)

    @property
    def __class__(self):
        return type(self._layer)


@contextmanager
def symbolic_state(layer: keras.layers.Layer) -> Iterator[Stand]:
    """Replaces, for the time of a block, the variables and layers in the attributes of a layer by symbols.

    Operations on weights then leave a record like operations on inputs.

    Args:
        layer: Built layer.
    """
    stand, missing = Stand(), object()
    own = vars(layer)
    held = {**getattr(layer, "_modules", {}), **own}  # PyTorch keeps layers apart
    replaced = {key: _symbols(value, stand) for key, value in held.items() if key not in _of_keras()}
    replaced = {key: value for key, value in replaced.items() if value is not held[key]}
    before = {key: own.get(key, missing) for key in replaced}
    own.update(replaced)
    try:
        yield stand
    finally:
        for key, value in before.items():
            if value is missing:
                del own[key]
            else:
                own[key] = value


@cache
def _of_keras() -> frozenset[str]:
    """Attributes of every layer and model, among them Keras's own lists of variables and layers."""
    return frozenset((*vars(keras.layers.Layer()), *vars(keras.Model())))


def _symbols(value, stand: Stand):
    if isinstance(value, keras.Variable):
        return stand.for_variable(value)
    if isinstance(value, keras.layers.Layer):
        return _Part(value, stand)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        items = [_symbols(item, stand) for item in value]
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return (tuple(items) if isinstance(value, tuple) else items) if changed else value
    if isinstance(value, dict):
        items = {key: _symbols(item, stand) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in items) else value
    return value
