"""Quantizers with tfmot's interface: any width, scales per channel, ranges that start from data."""

from kqat.legacy.tfmot.kernels import settled
from kqat_runtime.optional import require

tf = require("tensorflow", extra="tensorflow")
tf_keras = require("tf_keras", extra="tfmot")
tfmot = require("tensorflow_model_optimization", extra="tfmot")

LARGEST = 127  # level of a narrow int8 grid
DECAY = 0.99


@tf_keras.saving.register_keras_serializable(package="kqat")
class WeightQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Rounds weights to a symmetric narrow grid of `bits` that int8 contains exactly.

    Forward, with `L = 2^(bits-1) - 1` and `s = max|w| / L` for each channel: `clip(rint(w / s), -L, L) * s`.
    The converter knows 8-bit grids only. A second rounding, to steps of `s / floor(127 / L)`, changes no
    value and has the file store these very weights.

    Args:
        bits: Width, 2 to 8.
        kept: How many of the last axes keep a scale for each index: 0 (one scale), 1 or 2.
    """

    def __init__(self, bits: int, kept: int):
        self.bits, self.kept = bits, kept

    def build(self, tensor_shape, name, layer):
        """Returns no variables: the range is that of the weights."""
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        """Returns the rounded weights; gradients pass."""
        shape, x = inputs.shape, self._with_channels_last(inputs)
        coarse, top = self._steps(x)
        if self.bits < 8:
            x = x + tf.stop_gradient(tf.round(x / coarse) * coarse - x)
        name = "fake_quant_with_min_max_vars" + ("_per_channel" if self.kept else "")
        y = getattr(tf.quantization, name)(x, -top, top, num_bits=8, narrow_range=True)
        return tf.reshape(y, shape)

    def step(self, weight):
        """Returns the step of the int8 grid: a scalar, or one for each channel."""
        return self._steps(self._with_channels_last(weight))[1] / LARGEST

    def _with_channels_last(self, weight):
        x = tf.convert_to_tensor(weight)
        return tf.reshape(x, [*x.shape[:-2], -1]) if self.kept == 2 else x

    def _steps(self, x):
        """Returns the step between levels of `bits`, and the top of the int8 grid that holds them."""
        axes = list(range(x.shape.rank - 1)) if self.kept else None
        top = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=axes))
        top = tf.where(top > 0, top, tf.ones_like(top))
        levels = 2 ** (self.bits - 1) - 1
        coarse = top / levels
        return coarse, top if self.bits == 8 else coarse * (LARGEST / (LARGEST // levels))

    def get_config(self):
        """Returns the arguments."""
        return {"bits": self.bits, "kept": self.kept}


@tf_keras.saving.register_keras_serializable(package="kqat")
class RangeQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Rounds activations to a range that is the mean over the batches seen, later batches counting most.

    The first batch sets it. Then `range += (batch - range) * max(1 / count, 1 - 0.99)`. It always holds 0.
    In inference at 8 bits, sums and means of a layer go where the runtime's kernel puts them.

    Args:
        bits: Width, 2 to 16.
    """

    def __init__(self, bits: int):
        self.bits = bits
        self.settles = bits == 8  # not while TensorFlow's converter looks

    def build(self, tensor_shape, name, layer):
        """Returns the variables of the range."""
        self._owner, self._place = layer, name
        zero = {"initializer": "zeros", "trainable": False}
        return {key: layer.add_weight(f"{name}_{key}", **zero) for key in ("min", "max", "count")}

    def __call__(self, inputs, training, weights, **kwargs):
        """Returns the rounded activations; in training the range follows the batch first."""
        low, high, count = weights["min"], weights["max"], weights["count"]
        if training:
            seen = count.assign_add(1.0)
            rate = tf.maximum(1.0 / seen, 1.0 - DECAY)
            low = low.assign_add((tf.minimum(tf.reduce_min(inputs), 0.0) - low) * rate)
            high = high.assign_add((tf.maximum(tf.reduce_max(inputs), 0.0) - high) * rate)
        elif self.settles and hasattr(self._owner, "quantize_config"):
            inputs = settled(self._owner, self._place, inputs, low, high)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high, num_bits=self.bits)

    def get_config(self):
        """Returns the arguments."""
        return {"bits": self.bits}


@tf_keras.saving.register_keras_serializable(package="kqat")
class FixedQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Rounds to the 256 levels of a range that the runtime's kernel prescribes.

    Args:
        range: The smallest and the largest level.
    """

    def __init__(self, range):
        self.range = [float(x) for x in range]

    def build(self, tensor_shape, name, layer):
        """Returns no variables: the range is given."""
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        """Returns the rounded activations."""
        return tf.quantization.fake_quant_with_min_max_args(inputs, *self.range)

    def get_config(self):
        """Returns the arguments."""
        return {"range": self.range}
