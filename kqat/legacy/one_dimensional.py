"""One-dimensional convolutions in the form that TensorFlow's converter takes: two-dimensional ones.

Of weights with a scale per channel it refuses to change the shape once they are rounded, which is what
`tf.nn.convolution` does in one dimension. So the axis is added first, and the rounding comes behind it.
"""

from contextlib import ExitStack, contextmanager

from kqat_runtime.optional import require

tf = require("tensorflow", extra="tensorflow")
tf_keras = require("tf_keras", extra="tfmot")


@contextmanager
def as_two_dimensional(wrappers):
    """Has quantized Conv1D layers compute with two-dimensional operations; the values stay the same.

    Args:
        wrappers: tfmot's wrappers of the layers of a model.
    """
    with ExitStack() as stack:
        for wrapper in wrappers:
            if _is_plain(wrapper.layer):
                stack.enter_context(_changed(wrapper))
        yield


def _is_plain(layer) -> bool:
    known = isinstance(layer, tf_keras.layers.Conv1D) and not isinstance(
        layer, tf_keras.layers.Conv1DTranspose
    )
    return known and layer.data_format == "channels_last"


@contextmanager
def _changed(wrapper):
    layer, before = wrapper.layer, wrapper._weight_vars
    quantizers = [quantizer for weight, quantizer, _ in before if weight.shape.rank == 3]
    if len(quantizers) != 1:
        yield
        return
    plain = lambda weight, *args, **kwargs: weight  # noqa: E731
    wrapper._weight_vars = [(w, plain if w.shape.rank == 3 else q, state) for w, q, state in before]
    layer.convolution_op = lambda inputs, kernel: _convolve(layer, quantizers[0], inputs, kernel)
    try:
        yield
    finally:
        wrapper._weight_vars = before
        del layer.convolution_op


def _convolve(layer, quantizer, inputs, kernel):
    rounded = quantizer(tf.expand_dims(tf.convert_to_tensor(kernel), 0), training=False, weights={})
    outputs = tf.nn.conv2d(
        tf.expand_dims(inputs, 1),
        rounded,
        strides=[1, *layer.strides],
        padding="VALID" if layer.padding == "causal" else layer.padding.upper(),
        dilations=[1, *layer.dilation_rate],
    )
    return tf.squeeze(outputs, 1)
