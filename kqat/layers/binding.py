"""Finds, while a model is being built, the quantizer at the other end of a layer's inputs and output."""

import keras

from kqat.keras_private import call_of, maker_of
from kqat.layers.registry import treatment_for
from kqat.layers.treatments.shape import MAX_POOLING


class Binding:
    """The quantizers around a layer. Not a Keras container, so nothing here is tracked or saved twice.

    The first call that a layer is built with binds it, and the names of what it found are saved. After
    loading, only a call that finds the same names binds it again. Any later call, on other inputs, changes
    nothing.

    Args:
        names: What was saved: the names of the `FakeQuant` of each input, and of that of the output.

    Attributes:
        inputs: `FakeQuant` of each input, `None` where the input is float, or holds no values but indices.
        output: `FakeQuant` that rounds the output, or `None`.
        is_next: Whether it comes right behind the layer, not behind a max pooling.
    """

    def __init__(self, names: dict | None = None):
        self.inputs: list = []
        self.output = None
        self.is_next = False
        self._known = False
        self._names = names
        self._needs_output = True

    def read(self, tensors, rounded: int | None = None, needs_output: bool = True) -> None:
        """Notes the quantizers behind the symbolic inputs of a call.

        Args:
            tensors: The inputs.
            rounded: How many of the first of them hold values that need a grid; by default all. Ids, which
                may be of a float type, and states do not.
            needs_output: Whether the layer has no form without a grid of its output.
        """
        found = [source_quantizer(t) for t in tensors]
        expected = None if self._names is None else self._names["inputs"]
        if self.inputs or expected not in (None, _names(found)):
            return
        self.inputs, self._needs_output = found, needs_output
        count = len(tensors) if rounded is None else rounded
        real = [i < count and keras.backend.is_float_dtype(t.dtype) for i, t in enumerate(tensors)]
        known = [f is not None or not is_real for f, is_real in zip(self.inputs, real, strict=True)]
        self._known = bool(tensors) and all(known)

    def bind_output(self, fake_quant, is_next: bool) -> None:
        """Notes the quantizer of the output, and whether it comes right behind the layer."""
        expected = fake_quant.name if self._names is None else self._names["output"]
        if self.output is None and fake_quant.name == expected:
            self.output, self.is_next = fake_quant, is_next

    def saved_form(self) -> dict:
        """Returns the names of the quantizers, an entry of the layer's configuration; none before a call."""
        if not self.inputs:
            return {}
        output = None if self.output is None else self.output.name
        return {"grids": {"inputs": _names(self.inputs), "output": output}}

    @property
    def around(self) -> list:
        """The quantizers that are known, of the inputs and the output."""
        return [f for f in (*self.inputs, self.output) if f is not None]

    @property
    def makes_signs(self) -> bool:
        """Whether the output is rounded to -1 and 1."""
        return self.output is not None and self.output.makes_signs

    @property
    def reads_signs(self) -> bool:
        """Whether all inputs are -1 and 1."""
        return bool(self.inputs) and all(f is not None and f.makes_signs for f in self.inputs)

    @property
    def is_complete(self) -> bool:
        """Whether all grids that the layer needs are known, of its output and of its inputs."""
        return self._known and (self.output is not None or not self._needs_output)


def _names(quantizers) -> list:
    return [None if f is None else f.name for f in quantizers]


def is_symbolic(structure) -> bool:
    """Tells whether a call is one that builds a functional model."""
    return any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(structure))


def source_quantizer(tensor):
    """Returns the `FakeQuant` whose grid the values of a symbolic tensor lie on, or `None`.

    Walks back through operations that pass values on unchanged.
    """
    while True:
        op = maker_of(tensor)
        if op is None:
            return None
        if getattr(op, "owns_grid", False):
            return op
        treatment = treatment_for(op)
        if treatment is None or treatment.kind != "passthrough":
            return None
        tensor = call_of(tensor).input_tensors[0]


def producer(tensor):
    """Returns the operation whose output a quantizer of this symbolic tensor rounds, or `None`.

    That is the operation that made the tensor, or the one before a max pooling, which commutes with
    rounding.
    """
    while True:
        op = maker_of(tensor)
        if not isinstance(op, MAX_POOLING):
            return op
        tensor = call_of(tensor).input_tensors[0]
