"""Lets the weights of a layer stand for themselves in a recording of its call, as its inputs do."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras

from kqat.keras_private import mask_of, reads_mask
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.treatment import is_registered
from kqat.ops.arrays import as_numpy


class Stand:
    """What symbolic tensors stand for during a recording.

    Args:
        enters: `calls_in_order` of `lowering.recording` if calls of custom layers inside are to be entered,
            not recorded as one call each; `None` if not.

    Attributes:
        variables: Variable that a symbolic tensor stands for, by the identity of the tensor.
        constants: Values of tensors that layers were called on, likewise.
        entered: Layers whose calls were entered.
        inside: Names of the entered layers around a call, `"attention/"`, by the identity of its record.
    """

    def __init__(self, enters: Callable | None = None):
        self.variables: dict[int, keras.Variable] = {}
        self.constants: dict[int, Any] = {}
        self.entered: list[keras.layers.Layer] = []
        self.inside: dict[int, str] = {}
        self._in_order = enters
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

    def enters(self, layer, leaves) -> bool:
        """Tells whether what happens in a call of a layer is recorded, in place of the call."""
        if self._in_order is None or isinstance(layer, keras.Model):
            return False
        masked = reads_mask(layer) and any(mask_of(leaf) is not None for leaf in leaves)
        return is_own_layer(layer) and not is_registered(layer) and not masked

    def enter(self, layer, args, kwargs):
        """Returns what the call of a layer returns, tensors or not, and records what happens in it."""
        in_order: Any = self._in_order
        self.entered.append(layer)
        with _replaced(layer, self):
            outputs = layer.call(*args, **kwargs)
        leaves, given = (
            [x for x in keras.tree.flatten(y) if _is_symbol(x)] for y in (outputs, (args, kwargs))
        )
        for record in in_order(leaves, {id(x) for x in given} | self.known):
            self.inside[id(record)] = f"{layer.name}/{self.inside.get(id(record), '')}"
        return outputs

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
        if self._stand.enters(layer, leaves):
            return self._stand.enter(layer, args, kwargs)
        if layer.variables and not any(_is_symbol(leaf) for leaf in leaves):
            replace = lambda x: self._stand.for_constant(x) if keras.ops.is_tensor(x) else x  # noqa: E731
            args, kwargs = keras.tree.map_structure(replace, (args, kwargs))
        if _is_sequence_of_other_sizes(layer, args):
            return _one_by_one(layer, self._stand, *args, **kwargs)
        return layer(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._layer, name)

    def __setattr__(self, name, value):
        setattr(self._layer, name, value)

    @property
    def __class__(self):
        return type(self._layer)


def _is_sequence_of_other_sizes(layer, args) -> bool:
    """Tells whether a `Sequential` was built for other sizes than it is called with.

    Keras then calls its layers, but not where it records. On PyTorch and JAX this happens to each one in a
    layer that was called on inputs of unknown size: Keras builds it with an example's.
    """
    if type(layer) is not keras.Sequential or not layer.built or len(args) != 1 or not _is_symbol(args[0]):
        return False
    built, given = layer.input_shape[1:], args[0].shape[1:]
    return len(built) == len(given) and any(a not in (None, b) for a, b in zip(built, given, strict=True))


def _one_by_one(layer: keras.Sequential, stand: Stand, x, **kwargs):
    """Returns what the layers of a `Sequential` make of an input, each recorded on its own."""
    for part in layer.layers:
        taken = inspect.signature(part.call).parameters
        x = _Part(part, stand)(x, **{key: value for key, value in kwargs.items() if key in taken})
    return x


def _is_symbol(leaf) -> bool:
    return isinstance(leaf, keras.KerasTensor)


@contextmanager
def symbolic_state(layer: keras.layers.Layer, enters: Callable | None = None) -> Iterator[Stand]:
    """Replaces, for the time of a block, the variables and layers in the attributes of a layer by symbols.

    Operations on weights then leave a record like operations on inputs.

    Args:
        layer: Built layer.
        enters: See `Stand`.
    """
    stand = Stand(enters)
    with _replaced(layer, stand):
        yield stand


@contextmanager
def _replaced(layer, stand: Stand) -> Iterator[None]:
    missing = object()
    own = vars(layer)
    held = {**getattr(layer, "_modules", {}), **own}  # PyTorch keeps layers apart
    replaced = {key: _symbols(value, stand) for key, value in held.items() if key not in _of_keras()}
    replaced = {key: value for key, value in replaced.items() if value is not held[key]}
    before = {key: own.get(key, missing) for key in replaced}
    own.update(replaced)
    try:
        yield
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
