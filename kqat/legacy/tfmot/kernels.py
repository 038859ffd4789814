"""The level on which the runtime's kernels put a sum or a mean, which lies next to the border of two levels.

tfmot computes in float, and rounds what comes out. The kernels round an integer times a float32 factor:
    sums:  `level = rint(S * ((s_x * s_w) / s_y))`, S the sum of products and the bias
    means: `code = rint(S * c + (z_y - (n * z_x) * c))`, S the sum of n codes and `c = (s_x / s_y) * (1 / n)`
Both round to the same level, but where float errors cross a border; of a mean that is a tie, they often do.
"""

from kqat.tf_keras_private import inputs_of, maker_of
from kqat_runtime.optional import require

tf = require("tensorflow", extra="tensorflow")

_LOWEST = -128.0
_MEANS = ("GlobalAveragePooling1D", "GlobalAveragePooling2D")
_PLAIN = ("linear", "relu", "relu6")


def settled(wrapper, place: str, x, low, high):
    """Returns outputs of a layer, each on the level of the kernel; what is no sum or mean as it is.

    Args:
        wrapper: tfmot's wrapper of the layer.
        place: What tfmot calls the tensor: `"output"`, `"pre_activation"` or `"post_activation"`.
        x: What the layer puts out before it is rounded.
        low: Smallest value of the range that it is rounded to.
        high: Largest value of it.
    """
    grid = _grid(low, high)
    steps = steps_of_sums(wrapper)
    level = _of_mean(wrapper, x, grid) if steps is None else _of_sums(wrapper, place, x, grid, steps)
    if level is None:
        return x
    moved = x + tf.stop_gradient(level * grid[0] - x)
    return tf.where(tf.math.is_finite(moved), moved, x)  # of a range that no data has set, the step is 0


def steps_of_sums(wrapper):
    """Returns the steps of a layer's input and of its weights, one a channel, or None."""
    found = [(w, q) for w, q, _ in getattr(wrapper, "_weight_vars", ()) if hasattr(q, "step")]
    before = grid_before(wrapper)
    if before is None or len(found) != 1:
        return None
    weight, quantizer = found[0]
    return before[0], quantizer.step(weight)


def grid_before(layer):
    """Returns the step and the zero point of what a layer reads, or None."""
    return _grid_of(_maker(layer))


def _of_sums(wrapper, place: str, x, grid, steps):
    config, layer = wrapper.quantize_config, wrapper.layer
    whole = config.bias or not getattr(layer, "use_bias", False)
    if not whole or place != "pre_activation" and _function(layer) not in _PLAIN:
        return None
    source, weights = steps
    return tf.round(tf.round(x / (source * weights)) * ((source * weights) / grid[0]))


def _of_mean(wrapper, x, grid):
    layer, before = wrapper.layer, grid_before(wrapper)
    if type(layer).__name__ not in _MEANS or layer.data_format != "channels_last" or before is None:
        return None
    sizes = inputs_of(wrapper)[0].shape[1:-1]
    if None in sizes:
        return None
    count = tf.cast(tf.reduce_prod(sizes), tf.float32)
    offset = before[1] * count
    factor = (before[0] / grid[0]) * (1.0 / count)
    total = tf.round(x * count / before[0]) + offset
    return tf.round(total * factor + (grid[1] - offset * factor)) - grid[1]


def _grid(low, high, bits: int = 8):
    """Returns the step and the zero point of a range, as the converter does: computed in float64."""
    step = (tf.cast(high, tf.float64) - tf.cast(low, tf.float64)) / (2**bits - 1)
    zero = tf.round(_LOWEST - tf.cast(low, tf.float64) / step)
    return tf.cast(step, tf.float32), tf.cast(zero, tf.float32)


def _grid_of(layer):
    """Returns the grid that a layer's output is on, or None."""
    if hasattr(layer, "range"):  # of the model's input
        return _grid(layer.range["min"], layer.range["max"], layer.quantizer.bits)
    config = getattr(layer, "quantize_config", None)
    if getattr(config, "fixed", None):
        return _grid(*config.fixed)
    ranges = None
    if getattr(config, "output", False):
        ranges = layer._output_quantizer_vars
    elif getattr(config, "activations", ()):
        ranges = getattr(layer._quantize_activations[0], "_post_activation_vars", None)
    if ranges is not None:
        return _grid(ranges["min"], ranges["max"], config.bits[1])
    if getattr(config, "activations", ()):
        return None
    return _grid_of(_maker(layer)) if getattr(config, "is_empty", False) else None


def _maker(layer):
    """Returns the layer that makes the one input of a layer in all of its calls, or None."""
    found = [node for node in inputs_of(layer) if not isinstance(node, list | tuple | dict)]
    # A model in progress knew its first layer by another one, which `repair.py` replaces.
    makers = {id(m): m for m in map(maker_of, found) if type(m).__name__ != "QuantizeLayer"}
    return next(iter(makers.values())) if len(makers) == 1 else None


def _function(layer) -> str:
    function = getattr(layer, "activation", None)
    inner = getattr(function, "activation", function)
    return getattr(inner, "__name__", type(inner).__name__)
