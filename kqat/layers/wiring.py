"""The grids around a layer: names in its configuration, layers while it stands in a model.

A functional model is built, loaded and cloned by calling its layers on symbolic tensors, and Keras asks each
of them what comes out (`compute_output_spec`). That is where names become layers. The first such call settles
the names, or the configuration does; a call on anything else changes nothing.
"""

import warnings

import keras

from kqat.core.errors import SimulationWarning
from kqat.keras_private import call_of, maker_of
from kqat.lowering.max_pooling import MAX_POOLING
from kqat.lowering.treatment import treatment_for


class Grids:
    """What a `Quantized` layer knows of the `FakeQuant` layers around it. Keras tracks none of it.

    Args:
        names: Names of the `FakeQuant` of each input, and of that of the output, as saved; `None` if the
            first call is to settle them.

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

    def connect_inputs(self, tensors, rounded: int | None = None, needs_output: bool = True) -> None:
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

    def connect_output(self, fake_quant, is_next: bool) -> None:
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

    def warn_if_lost(self, layer: str) -> None:
        """Warns where the configuration names grids that no call has found.

        Args:
            layer: Name of the layer.
        """
        names = self._names
        if names is None or (self.inputs and (self.output is not None or names["output"] is None)):
            return
        missing = ", ".join(f"'{name}'" for name in (*names["inputs"], names["output"]) if name is not None)
        if missing:
            warnings.warn(
                f"Layer '{layer}' computes in float, as no file does: the quantizers around it are not "
                f"those that it was made with. Received: a model without {missing} next to the layer. "
                "Keep their names and places, or quantize the float model anew.",
                SimulationWarning,
                stacklevel=4,
            )


class Makers:
    """The `Quantized` layers whose outputs a `FakeQuant` rounds. Keras tracks none of it.

    Args:
        names: Their names, `None` in the place of any other operation, as saved; `None` if the calls until
            `close` are to settle them.
    """

    def __init__(self, names: list | None = None):
        self._names = names
        self._found: dict = {}

    def connect(self, name: str | None, layer) -> bool:
        """Notes what made a symbolic tensor; returns whether it belongs to the model.

        Args:
            name: Name of the layer, `None` if it is none that is `Quantized`.
            layer: The layer, or `None`.
        """
        belongs = self._names is None or name in self._names
        if belongs:
            self._found.setdefault(name, layer)
        return belongs

    def close(self) -> None:
        """Says that the model is built: calls on other inputs than until now are none of its own."""
        self._names = list(self._found)

    @property
    def layers(self) -> list:
        """The layers, none of other operations."""
        return [layer for layer in self._found.values() if layer is not None]

    @property
    def are_quantized(self) -> bool:
        """Whether there is nothing but `Quantized` layers that compute on integers."""
        return bool(self._found) and all(m is not None and m.is_integer for m in self._found.values())

    def saved_form(self) -> dict:
        """Returns the names, an entry of the layer's configuration; none before `close`."""
        return {} if self._names is None else {"makers": list(self._names)}


def _names(quantizers) -> list:
    return [None if f is None else f.name for f in quantizers]


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
