"""Layers with a kernel, BatchNormalization and fixed scalings."""

from keras import layers as kl

from kqat.layers.registry import Treatment, register
from kqat.layers.treatments.kinds import ARITHMETIC, POSITIVE_SUM, named, weighted
from kqat.lowering.channelwise import affine_form
from kqat.ops.arrays import as_numpy

register(kl.Dense, treatment=weighted(1))
register(*named("Conv1D Conv2D Conv3D"), treatment=weighted(-1))
register(kl.DepthwiseConv1D, treatment=weighted(1, 2))
register(kl.DepthwiseConv2D, treatment=weighted(2, 3))
register(*named("Conv1DTranspose Conv2DTranspose Conv3DTranspose"), treatment=weighted(-2))
register(kl.BatchNormalization, treatment=Treatment("arithmetic", fuses=True))


def _fixed_scaling(op):
    """A scaling with numbers that differ along other axes than the channels has no kernel."""
    form = affine_form(op)
    if form is None:
        return None
    gain, mean, beta = (as_numpy(v) for v in (form.gain, form.mean, form.beta))
    return POSITIVE_SUM if min(gain.min(), (beta - gain * mean).min()) >= 0 else ARITHMETIC


register(kl.Rescaling, kl.Normalization, treatment=_fixed_scaling)


def _einsum_dense(op):
    """Scales stay on the output axes that the kernel has and the input has not."""
    inputs, rest = op.equation.split(",")
    kernel, _ = rest.split("->")
    axes = tuple(i for i, letter in enumerate(kernel) if letter not in inputs)
    return Treatment("weighted", weights={"kernel": axes or (len(kernel) - 1,)}, fuses=True)


register(kl.EinsumDense, treatment=_einsum_dense)
