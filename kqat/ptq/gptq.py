"""Chooses roundings that make up for each other, layer by layer."""

import numpy as np

from kqat.core.gptq import gptq, output_error
from kqat.ptq.registry import step
from kqat.ptq.work import Weight, Work

FACTORS = (1.0, 0.7, 0.8, 0.9, 1.1, 1.2, 1.35, 1.5)


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
    found = [weight for weight in work.weights() if weight.layer in set(work.moments)]
    for weight in found:
        factors = FACTORS if work.free_scales else FACTORS[:1]
        scale, levels = _best(weight, work.moments[weight.layer], work.centered(weight.layer), factors)
        if work.free_scales:
            weight.quantizer.set_scale(scale)
        weight.quantizer.set_levels(weight.values, levels)
    return bool(found)


def _best(weight: Weight, moments, centered: bool, factors):
    """Returns the scale, in the layout of the quantizer's, and the levels."""
    product, hessians = moments.product, moments.matrices(centered)
    matrices = product.matrices(weight.values)
    lowest, scale = np.inf, weight.scale
    kept_scale, kept_levels = product.matrices(scale), np.zeros_like(matrices)
    for factor in factors:
        steps = product.matrices(scale * np.float32(factor))
        pairs = list(zip(matrices, steps, hessians, strict=True))
        levels = np.stack([gptq(w, s, h, weight.bounds) for w, s, h in pairs])
        errors = [output_error(w, q * s, h) for (w, s, h), q in zip(pairs, levels, strict=True)]
        error = _shared(product, np.stack(errors), scale)
        better = error < lowest
        lowest = np.where(better, error, lowest)
        kept_scale, kept_levels = np.where(better, steps, kept_scale), np.where(better, levels, kept_levels)
    found = product.kernel(kept_scale)
    first = tuple(slice(0, 1) if size == 1 else slice(None) for size in scale.shape)
    return (found[first] if scale.ndim else found.ravel()[0]), product.kernel(kept_levels)


def _shared(product, errors: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Returns errors of shape `(groups, outputs)` as matrices, summed where outputs share a step."""
    whole = np.asarray(product.kernel(np.repeat(errors[:, None], _inputs(product), axis=1)))
    shared = tuple(i for i in range(whole.ndim) if scale.ndim == 0 or scale.shape[i] == 1)
    return product.matrices(np.sum(whole, axis=shared, keepdims=True))


def _inputs(product) -> int:
    shape = product.operation.kernel.shape
    return int(np.prod(shape[:-2])) if product.is_depthwise else int(np.prod(shape[:-1]))
