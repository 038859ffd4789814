"""Quantizers: Keras layers that own a grid."""

import inspect

import keras

from kqat.core.checks import nearest
from kqat.quantizers.base import Quantizer
from kqat.quantizers.fixed import FixedRange
from kqat.quantizers.lsq import LSQ
from kqat.quantizers.minmax import MinMax
from kqat.quantizers.moving_average import MovingAverage
from kqat.quantizers.pact import PACT
from kqat.quantizers.sign import Sign

__all__ = [
    "LSQ",
    "PACT",
    "FixedRange",
    "MinMax",
    "MovingAverage",
    "Quantizer",
    "Sign",
    "auto_activation",
    "auto_weight",
    "deserialize",
    "get",
    "serialize",
]

NAMES = {
    "ema": MovingAverage,
    "fixed": FixedRange,
    "lsq": LSQ,
    "minmax": MinMax,
    "pact": PACT,
    "sign": Sign,
}
# From this width up a range that follows the data is as good as a learned one, and needs no tuning.
FIRST_UNLEARNED_BITS = 8
# 16-bit integer kernels want a zero point of 0.
WIDEST_ASYMMETRIC_BITS = 8


def get(identifier, **defaults) -> Quantizer | None:
    """Returns a quantizer.

    Args:
        identifier: A name (`"lsq"`), a class, a configuration made by `serialize`, a quantizer (returned
            as it is) or `None` (returned as it is).
        **defaults: Arguments for a name or a class; those that it does not have are left out.

    Raises:
        ValueError: If the name is unknown.
        TypeError: If `identifier` is none of the above.
    """
    if identifier is None or isinstance(identifier, Quantizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        identifier = _named(identifier)
    if not (inspect.isclass(identifier) and issubclass(identifier, Quantizer)):
        raise TypeError(
            f"No quantizer can be made of this. Received: {identifier!r}. "
            f"Use a kqat.quantizers.Quantizer, its configuration, or one of {', '.join(sorted(NAMES))}."
        )
    accepted = inspect.signature(identifier).parameters
    return identifier(**{key: value for key, value in defaults.items() if key in accepted})


def serialize(quantizer: Quantizer | None) -> dict | None:
    """Returns the configuration of `quantizer`, which `deserialize` and `get` accept."""
    return None if quantizer is None else keras.saving.serialize_keras_object(quantizer)


def deserialize(config: dict | None) -> Quantizer | None:
    """Returns the quantizer that `serialize` described; without its trained state."""
    return None if config is None else keras.saving.deserialize_keras_object(config)


def auto_weight(bits: int, axis=None) -> Quantizer:
    """Returns the default weight quantizer: sign for 1 bit, learned below 8 bits, else min-max."""
    if bits == 1:
        return Sign(axis=axis)
    if bits < FIRST_UNLEARNED_BITS:
        return LSQ(bits, axis=axis, narrow_range=True)
    return MinMax(bits, axis=axis)


def auto_activation(bits: int, signed: bool | None = None) -> Quantizer:
    """Returns the default activation quantizer: sign for 1 bit, learned below 8 bits, else average."""
    if bits == 1:
        return Sign(scaled=False)
    if bits < FIRST_UNLEARNED_BITS:
        return LSQ(bits, signed=signed)
    return MovingAverage(bits, signed=signed, symmetric=bits > WIDEST_ASYMMETRIC_BITS)


def _named(name: str) -> type[Quantizer]:
    key = name.lower()
    for known, cls in NAMES.items():
        if key in (known, cls.__name__.lower()):
            return cls
    raise ValueError(f"Unknown quantizer. Received: {name!r}. Use one of {nearest(name, NAMES)}.")
