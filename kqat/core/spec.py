"""What to quantize and how finely: bits, rules and recipes, as frozen data."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from kqat.core.errors import PlanError

FAMILIES = ("auto", "lsq", "ema", "pact")
Pattern = str | type | Callable[[Any], bool]


def check_bits(bits: Any, what: str = "bits") -> int:
    """Returns `bits` if it is a whole number from 1 to 16.

    Raises:
        PlanError: Anything else.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 16:
        raise PlanError(f"A bit width is a whole number. Received: {what}={bits!r}. Use 1 to 16.")
    return bits


def check_family(quantizer: Any) -> str:
    """Returns `quantizer` if it is the name of a quantizer family.

    Raises:
        PlanError: Anything else.
    """
    if quantizer not in FAMILIES:
        raise PlanError(
            f"Unknown quantizer family. Received: quantizer={quantizer!r}. Use one of {', '.join(FAMILIES)}."
        )
    return quantizer


@dataclass(frozen=True)
class Bits:
    """Widths of weights and activations."""

    weights: int
    activations: int

    @classmethod
    def of(cls, bits: Any = 8, weight_bits: int | None = None, activation_bits: int | None = None) -> "Bits":
        """Returns the widths for `bits=4`, `bits=(4, 8)` (weights, activations) and their overrides."""
        weights, activations = bits if isinstance(bits, tuple | list) and len(bits) == 2 else (bits, bits)
        return cls(
            check_bits(
                weights if weight_bits is None else weight_bits, "weight_bits" if weight_bits else "bits"
            ),
            check_bits(
                activations if activation_bits is None else activation_bits,
                "activation_bits" if activation_bits else "bits",
            ),
        )


@dataclass(frozen=True)
class Rule:
    """How the layers that `match` names are treated. `None` leaves the question to the defaults.

    Args:
        match: Name, path, path prefix, glob, layer class or predicate.
        quantize: `False` leaves the layer in float.
        weight_bits: Width of the weights.
        activation_bits: Width of the layer's output.
        quantizer: Quantizer family, `"auto"`, `"lsq"`, `"ema"` or `"pact"`.
        share: Of a concatenation: `False` gives each part a grid of its own, with a requantization in front
            of the concatenation; `True` one grid to all, also where it only collects results.
    """

    match: Pattern
    quantize: bool = True
    weight_bits: int | None = None
    activation_bits: int | None = None
    quantizer: str | None = None
    share: bool | None = None

    def __post_init__(self):
        if self.share not in (None, True, False):
            raise PlanError(f"`share` is a choice. Received: share={self.share!r}. Use True, False or None.")
        for name in ("weight_bits", "activation_bits"):
            if getattr(self, name) is not None:
                check_bits(getattr(self, name), name)
        if self.quantizer is not None:
            check_family(self.quantizer)


@dataclass(frozen=True)
class WeightPlan:
    """How one weight is quantized: width, quantizer name, axes with a scale of their own."""

    bits: int
    quantizer: str
    axis: tuple[int, ...] | None

    def __post_init__(self):
        check_bits(self.bits)


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
        check_bits(self.bits)


MODES = ("quantized", "passthrough", "fused", "float")


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
        activation_replaced: Whether the layer's activation is left out for the signs that are made behind it.
    """

    path: str
    name: str
    kind: str
    mode: str
    reason: str = ""
    into: str | None = None
    weights: dict[str, WeightPlan] = field(default_factory=dict)
    output: TensorPlan | None = None
    activation_replaced: bool = False

    def __post_init__(self):
        if self.mode not in MODES:
            raise PlanError(
                f"Unknown mode of layer '{self.path}'. Received: {self.mode!r}. Use one of {MODES}."
            )

    @classmethod
    def from_dict(cls, data: dict) -> "LayerPlan":
        """Returns the plan of one layer from its JSON form."""
        weights = {
            k: WeightPlan(v["bits"], v["quantizer"], _tuple(v["axis"])) for k, v in data["weights"].items()
        }
        output = data["output"]
        if output is not None:
            output = TensorPlan(**{**output, "range": _tuple(output["range"])})
        return cls(**{**data, "weights": weights, "output": output})

    def to_dict(self) -> dict:
        """Returns the plan of the layer as JSON data."""
        return asdict(self)


def _tuple(value):
    return None if value is None else tuple(value)
