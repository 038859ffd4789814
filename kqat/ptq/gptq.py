"""Chooses roundings that make up for each other, layer by layer."""

import numpy as np

from kqat.core.gptq import gptq, inverse_factor, output_error
from kqat.ptq.registry import step
from kqat.ptq.work import Weight, Work

SHARES = (1.0, 0.7, 0.8, 0.9, 1.1, 1.2, 1.35, 1.5)


@step("gptq", effort="fast")
def choose_roundings(work: Work) -> bool:
    """Sets steps and roundings of weights below 8 bits, so that each layer's output is near to its float one.

    For every step of a few around the one of least squared error, weights are rounded by GPTQ; each output
    channel takes the step whose rounded weights have the least squared error of the output. Errors are
    weighted with the second moments of the layer's inputs; around their mean, where the mean of the output
    is corrected afterwards.

    Forward: `level = gptq(w, s)`, `s = argmin sum((w - level * s)^T H (w - level * s))`, `H = cov(x)`.

    References:
        Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
        Pre-trained Transformers", 2023.
    """
    usable = {layer for layer in work.moments if work.moments[layer].is_finite}
    found = [weight for weight in work.weights() if weight.layer in usable]
    for weight in found:
        shares = SHARES if work.free_scales else SHARES[:1]
        scale, levels = _best(weight, work.moments[weight.layer], work.centered(weight.layer), shares)
        if work.free_scales:
            weight.quantizer.set_scale(scale)
        weight.quantizer.set_levels(weight.values, levels)
    return bool(found)


def _best(weight: Weight, moments, centered: bool, shares):
    """Returns the scale, in the layout of the quantizer's, and the levels."""
    product, hessians = moments.product, moments.matrices(centered)
    matrices, factor = product.matrices(weight.values), inverse_factor(hessians)
    lowest, scale = np.inf, weight.scale
    kept_scale, kept_levels = product.matrices(scale), np.zeros_like(matrices)
    for share in shares:
        steps = product.matrices(scale * np.float32(share))
        levels = gptq(matrices, steps, hessians, weight.bounds, factor)
        error = _shared(product, output_error(matrices, levels * steps, hessians), scale)
        better = error < lowest
        lowest = np.where(better, error, lowest)
        kept_scale, kept_levels = np.where(better, steps, kept_scale), np.where(better, levels, kept_levels)
    found = product.kernel(kept_scale)
    first = tuple(slice(0, 1) if size == 1 else slice(None) for size in scale.shape)
    return (found[first] if scale.ndim else found.ravel()[0]), product.kernel(kept_levels)


def _shared(product, errors: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Returns errors of shape `(groups, outputs)` as matrices, summed where outputs share a step."""
    whole = np.asarray(product.kernel(np.repeat(errors[:, None], product.inputs, axis=1)))
    shared = tuple(i for i in range(whole.ndim) if scale.ndim == 0 or scale.shape[i] == 1)
    return product.matrices(np.sum(whole, axis=shared, keepdims=True))
