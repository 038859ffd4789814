"""Roundings that make up for each other: GPTQ on matrices of weights, in NumPy."""

import numpy as np

DAMPING = 0.01


def gptq(w: np.ndarray, scale, moments: np.ndarray, bounds, factor=None) -> np.ndarray:
    """Returns levels whose product with the inputs is near to that of the weights.

    Weights are rounded one input after the other, those of the largest inputs first; what each loses is
    made up for by the inputs that are still to come.

    Forward: with `U` of `inverse_factor`:
        `level_i = clip(round(w_i / scale), qmin, qmax)`, `e = (w_i - level_i * scale) / U_ii`,
        `w_j -= e * U_ij` for all inputs `j` after `i`.

    Args:
        w: Weights, shape `(..., inputs, outputs)`; matrices side by side are independent of each other.
        scale: Steps, which broadcast against `w`.
        moments: `sum(x x^T)` of the inputs, shape `(..., inputs, inputs)`; a factor changes nothing.
        bounds: `(qmin, qmax)`.
        factor: `inverse_factor(moments)`, where it is known.

    Returns:
        Float32 whole numbers in the shape of `w`: for each output these levels, or the nearest ones where
        their error is smaller.

    References:
        Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
        Pre-trained Transformers", 2023.
    """
    order, upper = inverse_factor(moments) if factor is None else factor
    steps = np.broadcast_to(np.asarray(scale, np.float64), w.shape)
    nearest = np.clip(np.rint(np.asarray(w, np.float64) / steps), *bounds)
    rest, sorted_steps = (np.take_along_axis(x, order[..., None], -2) for x in (np.float64(w), steps))
    levels = np.empty_like(rest)
    for i in range(w.shape[-2]):
        row, step = upper[..., i, :], sorted_steps[..., i, :]
        levels[..., i, :] = np.clip(np.rint(rest[..., i, :] / step), *bounds)
        error = (rest[..., i, :] - levels[..., i, :] * step) / row[..., i, None]
        rest[..., i + 1 :, :] -= row[..., i + 1 :, None] * error[..., None, :]
    found = np.empty_like(levels)
    np.put_along_axis(found, np.broadcast_to(order[..., None], levels.shape), levels, -2)
    return _better(w, found, nearest, steps, moments)


def inverse_factor(moments: np.ndarray, damping: float = DAMPING) -> tuple[np.ndarray, np.ndarray]:
    """Returns the order in which inputs are rounded, and the upper triangular `U` with `U^T U = H^-1`.

    Forward: `H = moments + damping * mean(diag(moments)) * I`, its inputs in that order. The damping grows
        until `H` has an inverse.

    Args:
        moments: `sum(x x^T)` of the inputs, shape `(..., inputs, inputs)`.
        damping: Share of the mean second moment that is added to each.
    """
    moments = np.asarray(moments, np.float64)
    diagonal = np.diagonal(moments, axis1=-2, axis2=-1)
    order = np.argsort(-diagonal, axis=-1, kind="stable")
    moments = np.take_along_axis(np.take_along_axis(moments, order[..., None], -2), order[..., None, :], -1)
    mean = np.mean(diagonal, axis=-1)[..., None, None]
    identity = np.eye(moments.shape[-1]) * np.where(mean > 0, mean, 1.0)
    for _ in range(6):
        try:
            inverse = np.linalg.inv(moments + damping * identity)
            lower = np.linalg.cholesky((inverse + np.swapaxes(inverse, -1, -2)) / 2)
            return order, np.swapaxes(lower, -1, -2)
        except np.linalg.LinAlgError:
            damping = max(10 * damping, 1e-6)
    return order, np.broadcast_to(np.eye(moments.shape[-1]), moments.shape)


def output_error(w: np.ndarray, rounded: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Returns the squared error of each output: `d^T moments d` with `d = w - rounded`."""
    difference = np.asarray(w, np.float64) - np.asarray(rounded, np.float64)
    return np.sum(difference * (np.asarray(moments, np.float64) @ difference), axis=-2)


def _better(w, found, nearest, steps, moments) -> np.ndarray:
    """Returns for each output the levels of less error: what the last inputs lose is not made up for."""
    ours, theirs = (output_error(w, levels * steps, moments) for levels in (found, nearest))
    return np.where((ours <= theirs)[..., None, :], found, nearest).astype(np.float32)
