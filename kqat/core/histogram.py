"""A histogram of bounded size for data whose range is not known beforehand."""

import math

import numpy as np

_CHUNK = 1 << 20
_LARGEST_SHIFT = 60


class Histogram:
    """Counts values in bins of a power-of-two width that doubles whenever a value does not fit.

    Bin edges are multiples of the width, so two neighbours merge into one bin of the doubled width
    without splitting anything: counts, sums and extremes stay exact however often that happens, and
    memory does not grow with the data.

    Args:
        bins: Number of bins, even; half of them for negative values.
    """

    def __init__(self, bins: int = 16384):
        self.width = 0.0
        self.low = math.inf
        self.high = -math.inf
        self._half = bins // 2
        self._counts = np.zeros(bins)
        self._sums = np.zeros(bins)

    def add(self, x: np.ndarray) -> None:
        """Counts the values of `x`, which must be finite."""
        flat = np.ravel(x)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen(max(-low, high))
        for start in range(0, flat.size, _CHUNK):
            self._count(flat[start : start + _CHUNK])

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns `(means, counts)` of the bins that hold anything, in ascending order."""
        used = np.flatnonzero(self._counts)
        return self._sums[used] / self._counts[used], self._counts[used]

    def quantile(self, fraction: float) -> float:
        """Returns the value below which `fraction` of the data lies, to within one bin width."""
        cumulated = np.cumsum(self._counts)
        target = fraction * cumulated[-1]
        bin_ = min(int(np.searchsorted(cumulated, target)), len(cumulated) - 1)
        count = self._counts[bin_]
        inside = 1.0 if not count else 1.0 - (cumulated[bin_] - target) / count
        return float(np.clip((bin_ - self._half + inside) * self.width, self.low, self.high))

    def _widen(self, magnitude: float) -> None:
        """Makes room for values up to `magnitude`."""
        if magnitude < self._half * self.width:
            return
        # The next power of two above, so that `magnitude` itself falls inside the last bin.
        needed = max(math.frexp(magnitude / self._half)[1], -126)
        shift = needed - math.frexp(self.width)[1] + 1 if self.width else 0
        self.width = math.ldexp(1.0, needed)
        if shift:
            self._counts = self._merged(self._counts, shift)
            self._sums = self._merged(self._sums, shift)

    def _merged(self, content: np.ndarray, shift: int) -> np.ndarray:
        new = (np.arange(-self._half, self._half) >> min(shift, _LARGEST_SHIFT)) + self._half
        return np.bincount(new, content, minlength=2 * self._half)

    def _count(self, x: np.ndarray) -> None:
        # Division by a power of two is exact, so a value never lands in a neighbour's bin.
        x = x.astype(np.float64)
        index = np.floor(x / self.width).astype(np.int64) + self._half
        self._counts += np.bincount(index, minlength=2 * self._half)
        self._sums += np.bincount(index, x, minlength=2 * self._half)
