"""CAST: another type for the same numbers."""

from kqat.core.errors import UnsupportedError
from kqat.lowering.registry import register
from kqat.lowering.whole_numbers import Whole

_TYPES = ("float32", "int32", "int64", "int16", "int8", "uint8", "bool")


@register("ops.Cast")
class Cast(Whole):
    """CAST; nothing where the type stays. Real numbers lose what is behind the point."""

    def write(self, writer, step, inputs, spec, name):
        if spec.dtype not in _TYPES:
            raise UnsupportedError(
                f"{step.op.name!r} cannot be lowered. Received: a cast to {spec.dtype!r}. "
                f"Use one of {_TYPES}."
            )
        return writer.cast(inputs[0], spec.dtype, name)
