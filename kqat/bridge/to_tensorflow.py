"""Operations of `keras.ops`, by class name, as TensorFlow functions of a functional tf_keras model."""

from collections.abc import Callable

from kqat.core.errors import ConversionError
from kqat_runtime.optional import require


def operation(name: str) -> Callable:
    """Returns the TensorFlow function for an operation of `keras.ops`.

    Args:
        name: Name of the operation's class, such as `"Add"`.

    Raises:
        ConversionError: There is none.
    """
    tf = require("tensorflow", extra="tensorflow")
    found = {**_plain(tf), **_arranged(tf)}.get(name)
    if found is None:
        raise ConversionError(
            f"The operation keras.ops.{name} has no counterpart in a tf_keras model. Received: a model that "
            "uses it. Use a layer, or an operation listed in the documentation of kqat.convert."
        )
    return found


def _plain(tf) -> dict[str, Callable]:
    """Operations that take what TensorFlow's function takes, in the same order."""
    return {
        "Add": tf.math.add, "Subtract": tf.math.subtract, "Multiply": tf.math.multiply,
        "Divide": tf.math.divide, "TrueDivide": tf.math.truediv, "Power": tf.math.pow,
        "Maximum": tf.math.maximum, "Minimum": tf.math.minimum, "Matmul": tf.linalg.matmul,
        "Negative": tf.math.negative, "Absolute": tf.math.abs, "Abs": tf.math.abs, "Square": tf.math.square,
        "Sqrt": tf.math.sqrt, "Rsqrt": tf.math.rsqrt, "Exp": tf.math.exp, "Log": tf.math.log,
        "Sigmoid": tf.math.sigmoid, "Tanh": tf.math.tanh, "Relu": tf.nn.relu, "Relu6": tf.nn.relu6,
        "Silu": tf.nn.silu, "Softplus": tf.math.softplus, "Identity": tf.identity,
    }  # fmt: skip


def _arranged(tf) -> dict[str, Callable]:
    """Operations whose settings have other names in TensorFlow."""
    relu6 = tf.nn.relu6
    return {
        "Softmax": lambda x, axis=-1: tf.nn.softmax(x, axis=axis),
        "Gelu": lambda x, approximate=True: tf.nn.gelu(x, approximate=approximate),
        "Elu": lambda x, alpha=1.0: tf.nn.elu(x) if alpha == 1.0 else _refuse(f"Elu(alpha={alpha})"),
        "LeakyRelu": lambda x, negative_slope=0.2: tf.nn.leaky_relu(x, alpha=negative_slope),
        "HardSigmoid": lambda x: relu6(x + 3.0) * (1.0 / 6.0),
        "HardSilu": lambda x: x * relu6(x + 3.0) * (1.0 / 6.0),
        "Mean": lambda x, axis=None, keepdims=False: tf.math.reduce_mean(x, axis, keepdims),
        "Sum": lambda x, axis=None, keepdims=False: tf.math.reduce_sum(x, axis, keepdims),
        "Max": lambda x, axis=None, keepdims=False, **_: tf.math.reduce_max(x, axis, keepdims),
        "Min": lambda x, axis=None, keepdims=False, **_: tf.math.reduce_min(x, axis, keepdims),
        "Concatenate": lambda xs, axis=0: tf.concat(xs, axis),
        "Stack": lambda xs, axis=0: tf.stack(xs, axis),
        "Reshape": lambda x, newshape: tf.reshape(x, [-1 if size is None else size for size in newshape]),
        "Transpose": lambda x, axes=None: tf.transpose(x, axes),
        "Squeeze": lambda x, axis=None: tf.squeeze(x, axis),
        "ExpandDims": lambda x, axis: tf.expand_dims(x, axis),
        "GetItem": lambda x, key: x[key],
        "Einsum": lambda *xs, subscripts: tf.einsum(subscripts, *xs),
        "Cast": lambda x, dtype: tf.cast(x, dtype),
        "Clip": lambda x, x_min, x_max: tf.clip_by_value(x, x_min, x_max),
        "Pad": _pad(tf),
    }


def _pad(tf):
    def pad(x, pad_width, mode="constant", constant_values=None):
        return tf.pad(x, pad_width, mode.upper(), 0 if constant_values is None else constant_values)

    return pad


def _refuse(what: str):
    raise ConversionError(
        f"An operation has no counterpart in TensorFlow. Received: keras.ops {what}. Use its default."
    )
