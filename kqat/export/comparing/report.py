"""What a comparison of a Keras model with its file found."""

from collections import Counter
from dataclasses import dataclass

from kqat.core.agreement import Agreement
from kqat.core.table import Tabular, TextTable

_SHOWN = 8


@dataclass(frozen=True)
class OutputReport:
    """The comparison of one output.

    Args:
        name: Name of the output.
        samples: Number of samples.
        values: Number of values compared.
        scale: Step of the file's last quantized tensor in real units; `None` for a float output.
        histogram: How many values differ by 0, 1, 2, ... LSB (steps); empty for a float output.
        mismatches: Values that differ: by a step, or for a float output by more than rounding.
        unequal: Values whose float32 bits differ at all.
        max_abs: Largest difference in real units.
        nonfinite: Values that are not finite on either side.
        top1: Predictions compared, those that agree, and with labels how many of the file's and of the
            model's are right: `(compared, agree, labelled, file right, keras right)`.
    """

    name: str
    samples: int
    values: int
    scale: float | None
    histogram: dict[int, int]
    mismatches: int
    unequal: int
    max_abs: float
    nonfinite: int
    top1: tuple[int, ...]

    @property
    def max_lsb(self) -> int | None:
        """Largest difference in steps, `None` for a float output."""
        return max(self.histogram, default=0) if self.scale is not None else None


@dataclass(frozen=True)
class LayerReport:
    """The comparison of one layer's output.

    Args:
        layer: Name of the layer in the quantized model.
        tensor: Name of the tensor in the file.
        values: Number of values compared.
        mismatches: Values that differ.
        max_lsb: Largest difference in steps.
    """

    layer: str
    tensor: str
    values: int
    mismatches: int
    max_lsb: int

    def __str__(self) -> str:
        share = 100 * self.mismatches / max(self.values, 1)
        return f"{self.layer} (tensor '{self.tensor}'): up to {self.max_lsb} LSB, {share:.4g} % of values"


@dataclass(frozen=True)
class VerifyReport(Tabular):
    """What `verify` found; `print` it.

    Args:
        outputs: One report an output.
        samples: Number of samples compared.
        layers: With `layers=True`, every layer compared, in the file's order.
        delegated: Whether XNNPACK ran any of the file.
        partitions: Connected pieces that XNNPACK ran.
        not_delegated: Operators that XNNPACK did not run, with their count.
        notes: Everything else that a reader should know.
        reference: How far the file's outputs are from those of the float model, where one was given.

    Threads: may share it; nothing changes it.
    """

    outputs: tuple[OutputReport, ...]
    samples: int
    layers: tuple[LayerReport, ...] = ()
    delegated: bool = True
    partitions: int = 1
    not_delegated: dict[str, int] | None = None
    notes: tuple[str, ...] = ()
    reference: tuple[Agreement, ...] = ()

    @property
    def histogram(self) -> dict[int, int]:
        """How many values of all quantized outputs differ by 0, 1, 2, ... LSB."""
        total = sum((Counter(output.histogram) for output in self.outputs), Counter())
        return {lsb: total[lsb] for lsb in sorted(total)}

    @property
    def max_lsb(self) -> int | None:
        """Largest difference of the quantized outputs in steps; `None` if all outputs are float."""
        return max((o.max_lsb for o in self.outputs if o.max_lsb is not None), default=None)

    @property
    def mismatches(self) -> int:
        """Values of all outputs that differ."""
        return sum(output.mismatches for output in self.outputs)

    @property
    def top1_agreement(self) -> float | None:
        """Share of predictions (largest value along the last axis) that agree, 0 to 1."""
        return self._share(1, 0)

    @property
    def accuracy(self) -> float | None:
        """Share of the file's predictions that the labels call right; `None` without labels."""
        return self._share(3, 2)

    @property
    def keras_accuracy(self) -> float | None:
        """Share of the Keras model's predictions that the labels call right."""
        return self._share(4, 2)

    @property
    def first_difference(self) -> LayerReport | None:
        """The first layer in the file's order that differs; needs `layers=True`."""
        return next((layer for layer in self.layers if layer.mismatches), None)

    @property
    def exact(self) -> bool:
        """Whether every value of every output has the same bits on both sides."""
        return all(output.unequal == 0 and output.nonfinite == 0 for output in self.outputs)

    def to_dict(self) -> dict:
        """Returns the main numbers as JSON data."""
        names = ("samples", "histogram", "max_lsb", "mismatches", "exact", "top1_agreement", "accuracy")
        first = self.first_difference
        return {
            **{name: getattr(self, name) for name in (*names, "keras_accuracy", "delegated", "partitions")},
            "not_delegated": dict(self.not_delegated or {}),
            "first_difference": None if first is None else first.layer,
            "notes": list(self.notes),
            "reference": [one.to_dict() for one in self.reference],
        }

    def table(self) -> TextTable:
        """Returns the report as a table."""
        columns = ("output", "values", "differ", "max LSB", "max abs", "top-1 agreement")
        title = f"Keras model and file on {self.samples} samples: {self._verdict()}"
        rows = [_row(output) for output in self.outputs]
        return TextTable(columns, rows, title, frozenset(columns[1:]), self._footer())

    def _verdict(self) -> str:
        if self.exact:
            return "bit-equal"
        apart = self.mismatches or any(output.nonfinite for output in self.outputs)
        return "different" if apart else "equal up to float rounding"

    def _footer(self) -> list[str]:
        lines = []
        if self.histogram:
            lines.append(f"LSB histogram: {_short(self.histogram)}")
        if self.accuracy is not None:
            lines.append(f"accuracy: file {self.accuracy:.4%}, Keras {self.keras_accuracy:.4%}")
        lines += [f"against the float model: {one.name}: {one}" for one in self.reference]
        if self.layers:
            first = self.first_difference
            lines.append(f"layers compared: {len(self.layers)}; first that differs: {first or 'none'}")
        return [*lines, *(f"note: {note}" for note in self.notes)]

    def _share(self, part: int, whole: int) -> float | None:
        compared = sum(output.top1[whole] for output in self.outputs)
        return sum(output.top1[part] for output in self.outputs) / compared if compared else None


def _short(histogram: dict[int, int]) -> str:
    """Returns the first entries of a histogram and the sum of the others."""
    shown = list(histogram.items())[:_SHOWN]
    others = sum(histogram.values()) - sum(count for _, count in shown)
    more = f", more: {others}" if others else ""
    return ", ".join(f"{lsb}: {count}" for lsb, count in shown) + more


def _row(output: OutputReport) -> tuple[str, ...]:
    compared, agree = output.top1[:2]
    lsb = "float" if output.max_lsb is None else str(output.max_lsb)
    share = f"{agree / compared:.4%}" if compared else "-"
    return (output.name, str(output.values), str(output.mismatches), lsb, f"{output.max_abs:.3g}", share)
