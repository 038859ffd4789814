"""Quantizer families: what `quantize(quantizer=...)` calls a quantizer of weights and one of activations."""

from dataclasses import dataclass

from kqat.core.checks import nearest
from kqat.core.errors import PlanError

AUTO = "auto"  # the family that suits the width
SIGN = "sign"  # of one bit, whatever the family
_FIRST_UNLEARNED_BITS = 8  # from here up a range that follows the data is as good as a learned one, untuned


@dataclass(frozen=True)
class Family:
    """A family.

    Attributes:
        name: What the user calls it.
        weights: Name of the quantizer of weights.
        activations: Name of the quantizer of activations.
        finds_sign: Whether the one of activations finds out from the data how many levels lie below 0.
        wide: Whether the one of activations has a form between 9 and 16 bits that the runtime computes with.
    """

    name: str
    weights: str
    activations: str
    finds_sign: bool = False
    wide: bool = True


_FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Adds a family; one of the same name is replaced."""
    _FAMILIES[family.name] = family
    return family


def names() -> tuple[str, ...]:
    """Returns the names that a user can give."""
    return (AUTO, *_FAMILIES)


def check_family(name: str) -> str:
    """Returns `name` if it is that of a family.

    Raises:
        PlanError: Anything else.
    """
    if not isinstance(name, str) or (name != AUTO and name not in _FAMILIES):
        known = nearest(str(name), names())
        raise PlanError(f"Unknown quantizer family. Received: quantizer={name!r}. Use one of {known}.")
    return name


def weight_quantizer_name(family: str, bits: int) -> str:
    """Returns the name of the quantizer of weights of a family, at a width."""
    return SIGN if bits == 1 else _FAMILIES[_chosen(family, bits)].weights


def activation_quantizer_name(family: str, bits: int) -> str:
    """Returns the name of the quantizer of activations of a family, at a width."""
    return SIGN if bits == 1 else _FAMILIES[_chosen(family, bits)].activations


def for_weights() -> tuple[str, ...]:
    """Returns the names of all quantizers of weights."""
    return tuple(sorted({SIGN, *(family.weights for family in _FAMILIES.values())}))


def for_activations() -> tuple[str, ...]:
    """Returns the names of all quantizers of activations, but for that of fixed ranges."""
    return tuple(sorted({SIGN, *(family.activations for family in _FAMILIES.values())}))


def finds_sign(quantizer: str) -> bool:
    """Tells whether a quantizer of activations finds out from the data how many levels lie below 0."""
    return any(family.finds_sign for family in _FAMILIES.values() if family.activations == quantizer)


def is_wide(quantizer: str) -> bool:
    """Tells whether a quantizer of activations has a form above 8 bits that the runtime computes with."""
    return all(family.wide for family in _FAMILIES.values() if family.activations == quantizer)


def _chosen(family: str, bits: int) -> str:
    if family != AUTO:
        return family
    return "ema" if bits >= _FIRST_UNLEARNED_BITS else "lsq"
