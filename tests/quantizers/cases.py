"""One of every kind of quantizer, and the data they are tried on."""

import numpy as np
from keras import ops

from kqat import quantizers
from kqat.core import binary_reference, reference
from kqat.core.grid import Grid

ACTIVATIONS = {
    "fixed": lambda: quantizers.FixedRange(-6.0, 6.0, bits=8),
    "fixed narrow 3": lambda: quantizers.FixedRange(-1.0, 3.0, bits=3, narrow_range=True),
    "ema": lambda: quantizers.MovingAverage(8),
    "ema unsigned 4": lambda: quantizers.MovingAverage(4, decay=0.9, signed=False),
    "ema symmetric 16": lambda: quantizers.MovingAverage(16, symmetric=True),
    "lsq 4": lambda: quantizers.LSQ(4),
    "lsq unsigned 2": lambda: quantizers.LSQ(2, signed=False),
    "pact 4": lambda: quantizers.PACT(4),
    "pact signed 3": lambda: quantizers.PACT(3, signed=True),
    "sign": lambda: quantizers.Sign(scaled=False),
    "ste_sign": lambda: quantizers.SteSign(),
    "approx_sign": lambda: quantizers.ApproxSign(),
    "swish_sign": lambda: quantizers.SwishSign(),
    "ste_heaviside": lambda: quantizers.SteHeaviside(),
    "ste_tern": lambda: quantizers.SteTern(),
    "dorefa 3": lambda: quantizers.DoReFa(3),
    "rsign": lambda: quantizers.RSign(axis=None),
    "ir_sign": lambda: quantizers.IRSign(),
}
WEIGHTS = {
    "minmax": lambda: quantizers.MinMax(8),
    "minmax per channel 3": lambda: quantizers.MinMax(3, axis=-1),
    "minmax wide 5": lambda: quantizers.MinMax(5, axis=(0, 1), narrow_range=False),
    "lsq per channel 4": lambda: quantizers.LSQ(4, axis=-1, narrow_range=True),
    "lsq per tensor 2": lambda: quantizers.LSQ(2, narrow_range=True),
    "sign weights": lambda: quantizers.Sign(),
    "sign per channel": lambda: quantizers.Sign(axis=(-1,)),
    "ste_sign weights": lambda: quantizers.SteSign(clip_value=1.3),
    "magnitude_aware_sign": lambda: quantizers.MagnitudeAwareSign(clip_value=None),
    "ste_tern of weights": lambda: quantizers.SteTern(ternary_weight_networks=True),
    "dorefa weights 2": lambda: quantizers.DoReFa(2, mode="weights"),
    "ir_sign weights": lambda: quantizers.IRSign(axis=(-1,)),
}
ALL = ACTIVATIONS | WEIGHTS


def data(seed=0, shape=(50, 7, 6), spread=1.5):
    return np.random.default_rng(seed).normal(0.3, spread, shape).astype("float32")


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def numpy_grid(quantizer, x=None) -> Grid:
    grid = quantizer.grid(None if x is None else ops.convert_to_tensor(x))
    return Grid(numpy(grid.scale), numpy(grid.qmin), numpy(grid.qmax))


def expected(quantizer, x):
    """Returns the reference's output on the quantizer's own grid."""
    for cls, golden in GOLDEN.items():
        if isinstance(quantizer, cls):
            return golden(quantizer, x)
    grid = numpy_grid(quantizer, x)
    return reference.sign(x, grid.scale) if quantizer.bits == 1 else reference.fake_quant(x, grid)


def _ternary(quantizer, x):
    whole = quantizer.ternary_weight_networks
    return binary_reference.ternary(
        x, binary_reference.ternary_threshold(x) if whole else quantizer.threshold_value
    )


GOLDEN = {
    quantizers.SteHeaviside: lambda quantizer, x: binary_reference.heaviside(x),
    quantizers.SteTern: _ternary,
    quantizers.DoReFa: lambda quantizer, x: binary_reference.dorefa(x, quantizer.bits, quantizer.mode),
    quantizers.RSign: lambda quantizer, x: reference.sign(x - numpy(quantizer.threshold)),
    quantizers.IRSign: lambda quantizer, x: binary_reference.ir_sign(x, quantizer.axis),
}


def has_mean_scale(quantizer) -> bool:
    """Tells whether the scale is the mean of the weights, a sum whose order is the compiler's."""
    scaled = isinstance(quantizer, quantizers.Sign) and quantizer.scaled
    return scaled or isinstance(quantizer, quantizers.MagnitudeAwareSign)


def trained(make, steps=3):
    """Returns a quantizer that has seen a few training batches."""
    quantizer = make()
    for seed in range(steps):
        quantizer(ops.convert_to_tensor(data(seed)), training=True)
    return quantizer
