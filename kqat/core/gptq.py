"""Roundings that make up for each other: GPTQ on a matrix of weights, in NumPy."""

import numpy as np

DAMPING = 0.01


def gptq(
    w: np.ndarray, scale: np.ndarray, moments: np.ndarray, bounds, damping: float = DAMPING
) -> np.ndarray:
    """Returns levels whose product with the inputs is near to that of the weights.

    Weights are rounded one input after the other, those of the largest inputs first; what each loses is
    made up for by the inputs that are still to come.

    Forward: with `H = moments + damping * mean(diag(moments)) * I` and `U` upper triangular, `U^T U = H^-1`:
        `level_i = clip(round(w_i / scale), qmin, qmax)`, `e = (w_i - level_i * scale) / U_ii`,
        `w_j -= e * U_ij` for all inputs `j` after `i`.

    Args:
        w: Weights, shape `(inputs, outputs)`.
        scale: Step of each output, shape `(outputs,)`, or of each weight, of the shape of `w`.
        moments: `sum(x x^T)` of the inputs, shape `(inputs, inputs)`; a factor changes nothing.
        bounds: `(qmin, qmax)`.
        damping: Share of the mean second moment that is added to each.

    Returns:
        Float32 whole numbers in the shape of `w`: for each output these levels, or the nearest ones where
        their error is smaller.

    References:
        Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
        Pre-trained Transformers", 2023.
    """
    order = np.argsort(-np.diag(moments), kind="stable")
    upper = _upper(np.asarray(moments, np.float64)[np.ix_(order, order)], damping)
    rest = np.asarray(w, np.float64)[order]
    steps = np.broadcast_to(np.asarray(scale, np.float64), rest.shape)
    steps = steps[order] if np.shape(scale) == rest.shape else steps
    levels = np.empty_like(rest)
    nearest = np.clip(np.rint(rest / steps), *bounds)
    for i, row in enumerate(upper):
        levels[i] = np.clip(np.rint(rest[i] / steps[i]), *bounds)
        error = (rest[i] - levels[i] * steps[i]) / row[i]
        rest[i + 1 :] -= np.outer(row[i + 1 :], error)
    found = np.empty_like(levels)
    found[order] = levels
    return _better(w, found, nearest[np.argsort(order)], steps[np.argsort(order)], moments)


def _better(w, found, nearest, steps, moments) -> np.ndarray:
    """Returns for each output the levels of less error: what the last inputs lose is not made up for."""
    errors = [output_error(w, levels * steps, moments) for levels in (found, nearest)]
    return np.where(errors[0] <= errors[1], found, nearest).astype(np.float32)


def output_error(w: np.ndarray, rounded: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Returns the squared error of each output: `d^T moments d` with `d = w - rounded`."""
    difference = np.asarray(w, np.float64) - np.asarray(rounded, np.float64)
    return np.einsum("io,io->o", difference, np.asarray(moments, np.float64) @ difference)


def _upper(moments: np.ndarray, damping: float) -> np.ndarray:
    """Returns the upper triangular `U` with `U^T U = H^-1`; the damping grows until `H` has an inverse."""
    mean = float(np.mean(np.diag(moments))) or 1.0
    identity = np.eye(len(moments))
    for _ in range(6):
        try:
            inverse = np.linalg.inv(moments + damping * mean * identity)
            return np.linalg.cholesky((inverse + inverse.T) / 2).T
        except np.linalg.LinAlgError:
            damping = max(10 * damping, 1e-6)
    return identity
