"""What to quantize and how finely: bits, rules and recipes, as frozen data."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from kqat.core.checks import HIGHEST_BITS, LOWEST_BITS, whole_number
from kqat.core.errors import PlanError
from kqat.core.families import check_family

Pattern = str | type | re.Pattern | Callable[[Any], bool]


def check_bits(bits: Any, what: str = "bits") -> int:
    """Returns `bits` as an `int` if it is a whole number, of Python or NumPy, from 1 to 16.

    Raises:
        PlanError: Anything else.
    """
    width = whole_number(bits)
    if width is None:
        advice = " A pair is (weights, activations)." if isinstance(bits, tuple | list | np.ndarray) else ""
        raise PlanError(f"A bit width is a whole number. Received: {what}={bits!r}. Use 1 to 16.{advice}")
    if not LOWEST_BITS <= width <= HIGHEST_BITS:
        hint = " To leave layers in float, name them in exclude." if width > HIGHEST_BITS else ""
        raise PlanError(f"A bit width is out of range. Received: {what}={bits!r}. Use 1 to 16.{hint}")
    return width


@dataclass(frozen=True)
class Bits:
    """Widths of weights and activations."""

    weights: int
    activations: int

    @classmethod
    def of(cls, bits: Any = 8, weight_bits: int | None = None, activation_bits: int | None = None) -> "Bits":
        """Returns the widths for `bits=4`, `bits=(4, 8)` (weights, activations) and their overrides."""
        if isinstance(bits, np.ndarray) and bits.ndim:
            bits = tuple(bits)
        weights, activations = bits if isinstance(bits, tuple | list) and len(bits) == 2 else (bits, bits)
        given = {"weight_bits": weight_bits, "activation_bits": activation_bits}
        pairs = zip(given.items(), (weights, activations), strict=True)
        return cls(*(check_bits(own, n) if own is not None else check_bits(b) for (n, own), b in pairs))


@dataclass(frozen=True)
class Rule:
    """How the layers that `match` names are treated. `None` leaves the question to the defaults.

    Args:
        match: Name, path, path prefix, glob, regular expression, layer class or predicate.
        quantize: `False` leaves the layer in float.
        weight_bits: Width of the weights.
        input_bits: Width at which the layer reads its inputs: narrower than they are stored, they are
            requantized for it, else they are stored as wide as that.
        activation_bits: Width of the layer's output.
        quantizer: Quantizer family, `"auto"`, `"lsq"`, `"ema"`, `"pact"` or a registered one.
        share: Of a concatenation: `False` gives each part a grid of its own, with a requantization in front
            of the concatenation; `True` one grid to all, also where it only collects results.

    Threads: may share it; nothing changes it.
    """

    match: Pattern
    quantize: bool = True
    weight_bits: int | None = None
    input_bits: int | None = None
    activation_bits: int | None = None
    quantizer: str | None = None
    share: bool | None = None

    def __post_init__(self):
        if self.share not in (None, True, False):
            raise PlanError(f"`share` is a choice. Received: share={self.share!r}. Use True, False or None.")
        for name in ("weight_bits", "input_bits", "activation_bits"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_bits(getattr(self, name), name))
        if self.quantizer is not None:
            check_family(self.quantizer)


@dataclass(frozen=True)
class WeightPlan:
    """How one weight is quantized: width, quantizer name, axes with a scale of their own."""

    bits: int
    quantizer: str
    axis: tuple[int, ...] | None

    def __post_init__(self):
        object.__setattr__(self, "bits", check_bits(self.bits))


@dataclass(frozen=True)
class TensorPlan:
    """How one activation is quantized.

    Args:
        bits: Width.
        quantizer: Quantizer name.
        signed: `False` when the tensor is never negative, `True` for a learned signed grid, `None` when
            the observed range decides.
        name: Name of the `FakeQuant` layer. Tensors with the same name share one grid.
        range: Fixed real range, for operations whose output grid the runtime dictates.
    """

    bits: int
    quantizer: str
    signed: bool | None
    name: str
    range: tuple[float, float] | None = None

    def __post_init__(self):
        object.__setattr__(self, "bits", check_bits(self.bits))


MODES = ("quantized", "passthrough", "fused", "float")
# Why a layer is in float: the user's wish, nothing quantized around it, or kqat's limits.
CAUSES = ("", "excluded", "idle", "whole", "collects", "unsupported")
# What a layer is in a file: integer operators, kqat's own float operators between exact borders, kqat's own
# float operators, operators of TensorFlow's converter, or nothing: the export raises.
FILES = ("integer", "float kernel", "float", "converter", "nothing")


@dataclass(frozen=True)
class LayerPlan:
    """What happens to one layer, and why.

    Args:
        path: Path of the layer, `"backbone/conv1"`.
        name: Name of the layer in the quantized model.
        kind: Class name of the layer.
        mode: `"quantized"`, `"passthrough"` (output on the input's grid), `"fused"` or `"float"`.
        reason: Why, in words.
        into: For a fused layer, the path of the layer that it became part of.
        weights: Treatment of each weight.
        output: Treatment of the output.
        reads: For each input the grid that the layer reads it on, where that is not the one it is stored on;
            `None` where it is. Empty if there is no such input.
        inputs: Names of the grids that the inputs are stored on, `None` for one in float.
        activation_replaced: Whether the layer's activation is left out for the signs that are made behind it.
        cause: Why the mode is `"float"`: `"excluded"`, `"idle"` (nothing around it is quantized), `"whole"`
            (it computes with whole numbers or truth values), `"collects"` (it only joins results) or
            `"unsupported"`; else empty.
        file: What it is in a file of `export_tflite`: `"integer"`, `"float kernel"` (kqat's float operators
            between exact borders), `"float"` (kqat's float operators), `"converter"` (only TensorFlow's
            converter can write it) or `"nothing"` (the export raises; `reason` says why and what to do).
            Empty where it is not known, as for models of tf_keras.

    Threads: may share it; nothing changes it.
    """

    path: str
    name: str
    kind: str
    mode: str
    reason: str = ""
    into: str | None = None
    weights: dict[str, WeightPlan] = field(default_factory=dict)
    output: TensorPlan | None = None
    reads: tuple[TensorPlan | None, ...] = ()
    inputs: tuple[str | None, ...] = ()
    activation_replaced: bool = False
    cause: str = ""
    file: str = ""

    def __post_init__(self):
        for name, known in (("mode", MODES), ("cause", CAUSES), ("file", ("", *FILES))):
            if getattr(self, name) not in known:
                raise PlanError(
                    f"Unknown {name} of layer '{self.path}'. Received: {getattr(self, name)!r}. Use one of "
                    f"{known}."
                )

    def to_dict(self) -> dict:
        """Returns the plan of the layer as JSON data."""
        return asdict(self)
