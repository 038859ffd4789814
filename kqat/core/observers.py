"""Observers: from the values of a tensor to the range that its grid should cover.

An observer sees batches through `update` and answers `range`. The range always contains 0, and on a
symmetric grid its two ends are the grid's lowest and highest level, so that `(high - low) / levels` is the
step.

Threads: an observer belongs to one of them.
"""

from collections.abc import Callable
from itertools import product

import numpy as np

from kqat.core.checks import nearest
from kqat.core.errors import NotCalibratedError
from kqat.core.histogram import Histogram

_ANALYTIC_BINS = 2  # Steps finer than this many bins: the histogram cannot see the rounding.
_FINE = np.geomspace(2.0**-10, 1.0, 121)
_COARSE = np.geomspace(2.0**-8, 1.0, 17)


class Observer:
    """Base of the observers: keeps the extremes, answers with the range they imply.

    Example:
        >>> observer = MinMax()
        >>> observer.update(np.array([-0.5, 3.0], np.float32))
        >>> observer.range(bits=8)
        (-0.5, 3.0)
    """

    def __init__(self):
        self._seen = False
        self.has_negative = False  # whether any value seen was below 0, and so a signed grid is needed

    def update(self, x: np.ndarray) -> None:
        """Takes a batch into account.

        Args:
            x: Values of any shape, real units. An empty array changes nothing.

        Raises:
            ValueError: `x` holds NaN or infinity, which no grid can represent.
        """
        x = np.asarray(x)
        if not x.size:
            return
        low, high = float(x.min()), float(x.max())
        if not np.isfinite([low, high]).all():
            raise ValueError(
                "Ranges come from finite values. Received: a batch with NaN or infinity. "
                "Use data on which the float model's own outputs are finite."
            )
        self._observe(x, low, high)
        self.has_negative = self.has_negative or low < 0
        self._seen = True

    def range(
        self, bits: int = 8, signed: bool | None = None, narrow_range: bool = False
    ) -> tuple[float, float]:
        """Returns `(low, high)`, real units, `low <= 0 <= high`.

        Args:
            bits: Width of the grid.
            signed: `False` for levels `0..N`, `True` for levels on both sides of 0 with 0 in the middle,
                `None` for an asymmetric grid with a free zero point.
            narrow_range: Leaves out the lowest level of a signed grid.

        Raises:
            NotCalibratedError: No batch was observed.
        """
        if not self._seen:
            raise NotCalibratedError(
                "A range needs data. Received: no batch yet. Use update(x) with at least one batch first."
            )
        low, high = self._ends(bits, signed, narrow_range)
        low, high = min(low, 0.0), max(high, 0.0)
        if signed is None:
            return low, high
        if not signed:
            return 0.0, high
        qmin, qmax = signed_levels(bits, narrow_range)
        step = max(high / qmax, low / qmin)
        return qmin * step, qmax * step

    def _observe(self, x, low, high):
        raise NotImplementedError

    def _ends(self, bits, signed, narrow_range):
        """Returns the lowest and the highest value to be represented."""
        raise NotImplementedError


class MinMax(Observer):
    """Covers everything that was seen."""

    def __init__(self):
        super().__init__()
        self._low, self._high = np.inf, -np.inf

    def _observe(self, x, low, high):
        self._low, self._high = min(self._low, low), max(self._high, high)

    def _ends(self, bits, signed, narrow_range):
        return self._low, self._high


class MovingAverage(Observer):
    """Averages the extremes of the batches, exponentially.

    Forward: `low += (min(x) - low) / min(count, 1 / (1 - decay))`, likewise `high`: the plain mean of the
    first batches, so that no starting value biases the result.

    Args:
        decay: Weight of the past, in `[0, 1)`.
    """

    def __init__(self, decay: float = 0.99):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(
                f"decay is the weight of the past. Received: decay={decay!r}. Use 0 <= decay < 1."
            )
        self._window = 1.0 / (1.0 - decay)
        self._count = 0
        self._low = self._high = 0.0

    def _observe(self, x, low, high):
        self._count += 1
        divisor = min(self._count, self._window)
        self._low += (low - self._low) / divisor
        self._high += (high - self._high) / divisor

    def _ends(self, bits, signed, narrow_range):
        return self._low, self._high


class Percentile(Observer):
    """Covers all but a small share of the values at each end.

    Args:
        percentile: Share of the values below the upper end, in percent; as many lie above the lower end.
        bins: Bins of the histogram that stands in for the data.
    """

    def __init__(self, percentile: float = 99.99, bins: int = 16384):
        super().__init__()
        if not 50 < percentile <= 100:
            raise ValueError(
                f"percentile is the share of values to cover. Received: percentile={percentile!r}. "
                "Use 50 < percentile <= 100."
            )
        self._fraction = percentile / 100.0
        self._histogram = Histogram(bins)

    def _observe(self, x, low, high):
        self._histogram.add(x)

    def _ends(self, bits, signed, narrow_range):
        return self._histogram.quantile(1.0 - self._fraction), self._histogram.quantile(self._fraction)


class MSE(Observer):
    """Covers what makes the mean squared quantization error smallest at the width in question.

    Few levels gain more from a fine step than they lose by clipping rare large values: at 2 bits the best
    range of a Gaussian ends at 1.5 standard deviations, not at the largest value seen.

    Args:
        bins: Bins of the histogram that stands in for the data.

    References:
        Banner, Nahshan, Soudry, "Post Training 4-bit Quantization of Convolutional Networks for
        Rapid-Deployment", 2019.
    """

    def __init__(self, bins: int = 16384):
        super().__init__()
        self._histogram = Histogram(bins)

    def _observe(self, x, low, high):
        self._histogram.add(x)

    def _ends(self, bits, signed, narrow_range):
        low, high = min(self._histogram.low, 0.0), max(self._histogram.high, 0.0)
        if signed is None:
            return self._asymmetric(low, high, 2**bits - 1)
        if not signed:
            levels = 2**bits - 1
            return 0.0, levels * self._best(lambda step: self._error(step, 0, levels), high / levels)
        qmin, qmax = signed_levels(bits, narrow_range)
        if bits == 1:
            values, counts = self._histogram.values()
            step = float(np.average(np.abs(values), weights=counts))
            return -step, step
        step = self._best(lambda step: self._error(step, qmin, qmax), max(high / qmax, low / qmin))
        return qmin * step, qmax * step

    def _asymmetric(self, low, high, levels):
        """Scans both ends together, coarsely, then each in turn."""

        def error(low, high):
            step = (high - low) / levels
            zero = np.floor(-low / step + 0.5) if step else 0.0
            return self._error(step, -zero, levels - zero)

        lows, highs = (end * _COARSE if end else [0.0] for end in (low, high))
        floor, ceiling = low, high
        low, high = min(product(lows, highs), key=lambda ends: error(*ends))
        for _ in range(2):
            high = self._best(lambda top, low=low: error(low, top), ceiling)
            low = -self._best(lambda top, high=high: error(-top, high), -floor)
        return low, high

    def _best(self, error: Callable[[float], float], largest: float) -> float:
        """Returns the argument in `(0, largest]` with the smallest error, to about 0.1 %."""
        if not largest:
            return 0.0
        candidates = largest * _FINE
        for _ in range(3):
            best = int(np.argmin([error(float(c)) for c in candidates]))
            around = candidates[max(best - 1, 0)], candidates[min(best + 1, len(candidates) - 1)]
            centre, candidates = candidates[best], np.linspace(*around, 17)
        return float(centre)

    def _error(self, step: float, qmin: float, qmax: float) -> float:
        """Returns the summed squared error on a grid."""
        values, counts = self._histogram.values()
        if step <= 0:
            return float(np.dot(values * values, counts))
        if step < _ANALYTIC_BINS * self._histogram.width:
            beyond = values - np.clip(values, qmin * step, qmax * step)
            return float(np.dot(beyond * beyond + step * step / 12.0, counts))
        error = values - step * np.clip(np.rint(values / step), qmin, qmax)
        return float(np.dot(error * error, counts))


_OBSERVERS: dict[str, Callable[..., Observer]] = {
    "minmax": MinMax,
    "ema": MovingAverage,
    "percentile": Percentile,
    "mse": MSE,
}


def register(name: str):
    """Returns a decorator that makes an observer class known by a name, as in `calibrate(observer="...")`.

    Args:
        name: The name; one of the same name is replaced.

    Raises:
        TypeError: The class is no `Observer`.

    Threads: register before threads begin to calibrate; all of them see it.
    """

    def decorate(cls):
        if not (isinstance(cls, type) and issubclass(cls, Observer)):
            raise TypeError(f"Observers are classes derived from Observer. Received: {cls!r}.")
        _OBSERVERS[name.lower()] = cls
        return cls

    return decorate


def get(name: "str | Observer | Callable[..., Observer]", **config) -> Observer:
    """Returns a new observer.

    Args:
        name: `"minmax"`, `"ema"`, `"percentile"`, `"mse"`, an observer class or a function that makes one.
        **config: Arguments of the class, for example `percentile=99.9`.

    Raises:
        ValueError: There is no observer of that name.
    """
    if isinstance(name, str) and name.lower() in _OBSERVERS:
        return _OBSERVERS[name.lower()](**config)
    if callable(name):
        return name(**config)
    raise ValueError(f"Unknown observer. Received: {name!r}. Use one of {nearest(str(name), _OBSERVERS)}.")


def signed_levels(bits: int, narrow_range: bool = False) -> tuple[int, int]:
    """Returns `(qmin, qmax)` of a signed grid: `[-8, 7]` at 4 bits, `[-7, 7]` if narrow, and `±1` at 1."""
    qmax = max(2 ** (bits - 1) - 1, 1)
    return (-qmax if narrow_range or bits == 1 else -qmax - 1), qmax
