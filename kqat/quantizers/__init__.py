"""Quantizers: Keras layers that own a grid.

Threads: may call a built quantizer in inference; training and calibration change it, so one thread at a time.
"""

import inspect
from typing import Any

import keras

from kqat.core import families
from kqat.core.checks import nearest
from kqat.core.types import Axis
from kqat.quantizers.approx_sign import ApproxSign
from kqat.quantizers.base import Quantizer, QuantizerLike
from kqat.quantizers.dorefa import DoReFa
from kqat.quantizers.estimator import Estimator
from kqat.quantizers.fixed import FixedRange
from kqat.quantizers.ir_sign import IRSign
from kqat.quantizers.lsq import LSQ
from kqat.quantizers.magnitude_aware_sign import MagnitudeAwareSign
from kqat.quantizers.minmax import MinMax
from kqat.quantizers.moving_average import MovingAverage
from kqat.quantizers.no_op import NoOp
from kqat.quantizers.pact import PACT
from kqat.quantizers.rsign import RSign
from kqat.quantizers.sign import Sign
from kqat.quantizers.ste_heaviside import SteHeaviside
from kqat.quantizers.ste_sign import SteSign
from kqat.quantizers.ste_tern import SteTern
from kqat.quantizers.swish_sign import SwishSign

__all__ = [
    "LSQ",
    "PACT",
    "ApproxSign",
    "DoReFa",
    "Estimator",
    "FixedRange",
    "IRSign",
    "MagnitudeAwareSign",
    "MinMax",
    "MovingAverage",
    "NoOp",
    "Quantizer",
    "RSign",
    "Sign",
    "SteHeaviside",
    "SteSign",
    "SteTern",
    "SwishSign",
    "auto_activation",
    "auto_weight",
    "deserialize",
    "get",
    "register",
    "serialize",
    "takes",
]

NAMES = {
    "approx_sign": ApproxSign,
    "dorefa_quantizer": DoReFa,
    "ema": MovingAverage,
    "fixed": FixedRange,
    "ir_sign": IRSign,
    "lsq": LSQ,
    "magnitude_aware_sign": MagnitudeAwareSign,
    "minmax": MinMax,
    "pact": PACT,
    "rsign": RSign,
    "sign": Sign,
    "ste_heaviside": SteHeaviside,
    "ste_sign": SteSign,
    "ste_tern": SteTern,
    "swish_sign": SwishSign,
}
_OWN = frozenset(NAMES)
# No short name: the precision is required. Files of Larq name the class.
_CLASSES = {cls.__name__.lower(): cls for cls in (*NAMES.values(), NoOp)}
# What Larq's configurations hold for every Keras layer, and kqat's quantizers do not take.
_LARQ_EXTRAS = ("dtype",)
# 16-bit integer kernels want a zero point of 0.
WIDEST_ASYMMETRIC_BITS = 8


def get(identifier: QuantizerLike, **defaults: Any) -> Quantizer | None:
    """Returns a quantizer.

    Args:
        identifier: A name (`"lsq"`), a class, a configuration made by `serialize` or by Larq, a quantizer
            (returned as it is) or `None` (returned as it is).
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
    return identifier(**{key: value for key, value in defaults.items() if takes(identifier, key)})


def takes(quantizer: str | type[Quantizer], argument: str) -> bool:
    """Tells whether a quantizer, by name or class, has an argument."""
    cls = _named(quantizer) if isinstance(quantizer, str) else quantizer
    return argument in inspect.signature(cls.__init__).parameters  # that of the class may be Keras's own


def register(name: str):
    """Returns a decorator that makes a quantizer class known by a name.

    The name works wherever one is taken, as in `kernel_quantizer="..."`, and `quantize(quantizer="...")` uses
    the class for what its `roles` say: of a class for weights only, activations are quantized as in the
    family `"ema"`, of one for activations only, weights as in `"minmax"`.

    Args:
        name: The name.

    Raises:
        ValueError: The name is that of a quantizer of kqat's.
        TypeError: The class is no `Quantizer`.

    Threads: register before threads begin to quantize; all of them see it.

    Example:
        >>> import keras, kqat
        >>> @kqat.quantizers.register("halved")
        ... @keras.saving.register_keras_serializable("docs")
        ... class Halved(kqat.quantizers.MinMax):
        ...     def grid(self, x=None):
        ...         grid = super().grid(x)
        ...         return type(grid)(grid.scale * 0.5, grid.qmin, grid.qmax)
        >>> type(kqat.quantizers.get("halved", bits=4)).__name__
        'Halved'
    """

    def decorate(cls):
        if not (inspect.isclass(cls) and issubclass(cls, Quantizer)):
            raise TypeError(
                f"Quantizers are classes derived from kqat.quantizers.Quantizer. Received: {cls!r}."
            )
        if name in _OWN or name == families.AUTO:
            raise ValueError(f"The name is taken. Received: {name!r}, which is kqat's own. Use another one.")
        NAMES[name] = cls
        families.register(_family(name, cls))
        return cls

    return decorate


def _family(name: str, cls: type[Quantizer]) -> families.Family:
    weights = name if "weights" in cls.roles else "minmax"
    activations = name if "activations" in cls.roles else "ema"
    follows = NAMES[activations]
    return families.Family(name, weights, activations, follows.finds_sign, follows.wide)


for _name in ("lsq", "ema", "pact"):
    families.register(_family(_name, NAMES[_name]))


def serialize(quantizer: Quantizer | None) -> dict | None:
    """Returns the configuration of `quantizer`, which `deserialize` and `get` accept."""
    return None if quantizer is None else keras.saving.serialize_keras_object(quantizer)


def deserialize(config: dict | None) -> Quantizer | None:
    """Returns the quantizer that `serialize`, or Larq, described; without its trained state."""
    if config is None:
        return None
    if str(config.get("module", "")).split(".")[0] not in ("", "larq"):
        return keras.saving.deserialize_keras_object(config)
    kept = {key: value for key, value in config.get("config", {}).items() if key not in _LARQ_EXTRAS}
    return _named(config["class_name"])(**kept)


def auto_weight(bits: int, axis: Axis = None) -> Quantizer | None:
    """Returns the default weight quantizer: sign for 1 bit, learned below 8 bits, else min-max."""
    return get(families.weight_quantizer_name(families.AUTO, bits), bits=bits, axis=axis, narrow_range=True)


def auto_activation(bits: int, signed: bool | None = None) -> Quantizer | None:
    """Returns the default activation quantizer: sign for 1 bit, learned below 8 bits, else average."""
    name = families.activation_quantizer_name(families.AUTO, bits)
    return get(name, bits=bits, signed=signed, symmetric=bits > WIDEST_ASYMMETRIC_BITS, scaled=False)


def _named(name: str) -> type[Quantizer]:
    found = NAMES.get(name.lower()) or _CLASSES.get(name.lower())
    if found is None:
        raise ValueError(f"Unknown quantizer. Received: {name!r}. Use one of {nearest(name, NAMES)}.")
    return found
