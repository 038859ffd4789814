"""TensorFlow functions in a tf_keras model, by symbol, as `keras.ops`, with TensorFlow's parameters."""

from collections.abc import Callable

from keras import ops

from kqat.core.errors import ConversionError


def operation(symbol: str) -> Callable:
    """Returns the `keras.ops` form of a TensorFlow function.

    Args:
        symbol: Its name as tf_keras records it, such as `"math.add"` or `"__operators__.add"`.

    Raises:
        ConversionError: There is none.
    """
    name = symbol.rsplit(".", 1)[-1]
    if name not in _FUNCTIONS:
        raise ConversionError(
            f"The function tf.{symbol} has no counterpart in keras.ops that kqat knows. Received: a model "
            "that uses it. Use a layer, or a function listed in the documentation of kqat.convert."
        )
    return _FUNCTIONS[name]


def _unary(function) -> Callable:
    def call(*args, name=None, **kwargs):
        (x,) = [*args, *kwargs.values()]
        return function(x)

    return call


def _binary(function) -> Callable:
    def call(*args, name=None, **kwargs):
        x, y = [*args, *kwargs.values()]
        return function(x, y)

    return call


def _reduce(function) -> Callable:
    def call(input_tensor, axis=None, keepdims=False, name=None):
        return function(input_tensor, axis=axis, keepdims=keepdims)

    return call


def _hard_sigmoid(x):
    """Returns what tf_keras means by the name; Keras 3 has another slope."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def _softmax(logits, axis=-1, name=None):
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def _gelu(features, approximate=False, name=None):
    return ops.gelu(features, approximate=approximate)


def _leaky_relu(features, alpha=0.2, name=None):
    return ops.leaky_relu(features, negative_slope=alpha)


def _concat(values, axis, name=None):
    return ops.concatenate(values, axis=axis)


def _stack(values, axis=0, name=None):
    return ops.stack(values, axis=axis)


def _reshape(tensor, shape, name=None):
    return ops.reshape(tensor, tuple(shape))


def _transpose(a, perm=None, conjugate=False, name=None):
    return ops.transpose(a, perm)


def _squeeze(input, axis=None, name=None):
    return ops.squeeze(input, axis)


def _expand_dims(input, axis, name=None):
    return ops.expand_dims(input, axis)


def _getitem(tensor, slice_spec, name=None):
    parts = slice_spec if isinstance(slice_spec, list | tuple) else [slice_spec]
    return tensor[tuple(slice(*part.values()) if isinstance(part, dict) else part for part in parts)]


def _pad(tensor, paddings, mode="CONSTANT", constant_values=0, name=None):
    values = constant_values if mode.upper() == "CONSTANT" else None
    return ops.pad(tensor, [tuple(pair) for pair in paddings], mode.lower(), values)


def _cast(x, dtype, name=None):
    return ops.cast(x, getattr(dtype, "name", dtype))


def _clip(t, clip_value_min, clip_value_max, name=None):
    return ops.clip(t, clip_value_min, clip_value_max)


def _einsum(equation, *inputs, name=None):
    return ops.einsum(equation, *inputs)


_FUNCTIONS: dict[str, Callable] = {
    "add": _binary(ops.add), "subtract": _binary(ops.subtract), "multiply": _binary(ops.multiply),
    "divide": _binary(ops.divide), "truediv": _binary(ops.true_divide), "pow": _binary(ops.power),
    "maximum": _binary(ops.maximum), "minimum": _binary(ops.minimum), "matmul": _binary(ops.matmul),
    "negative": _unary(ops.negative), "abs": _unary(ops.abs), "square": _unary(ops.square),
    "sqrt": _unary(ops.sqrt), "rsqrt": _unary(ops.rsqrt), "exp": _unary(ops.exp), "log": _unary(ops.log),
    "sigmoid": _unary(ops.sigmoid), "tanh": _unary(ops.tanh), "relu": _unary(ops.relu),
    "relu6": _unary(ops.relu6), "elu": _unary(ops.elu), "selu": _unary(ops.selu),
    "softplus": _unary(ops.softplus), "silu": _unary(ops.silu), "swish": _unary(ops.silu),
    "HardSigmoid": _hard_sigmoid, "HardSilu": ops.hard_silu,
    "identity": _unary(lambda x: x),
    "reduce_mean": _reduce(ops.mean), "reduce_sum": _reduce(ops.sum), "reduce_max": _reduce(ops.max),
    "reduce_min": _reduce(ops.min),
    "softmax": _softmax, "gelu": _gelu, "leaky_relu": _leaky_relu, "concat": _concat, "stack": _stack,
    "reshape": _reshape, "transpose": _transpose, "squeeze": _squeeze, "expand_dims": _expand_dims,
    "getitem": _getitem, "pad": _pad, "cast": _cast, "clip_by_value": _clip, "einsum": _einsum,
}  # fmt: skip
