"""Proves on data that a file computes what the Keras model computes, in steps of the output grid."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import keras
import numpy as np

from kqat.core.agreement import Agreement
from kqat.core.errors import FileError, VerifyError
from kqat.core.recognize import is_tf_keras
from kqat.core.recursion import deep_recursion
from kqat.export.comparing.counter import OutputCounter
from kqat.export.comparing.inputs import InputRanges
from kqat.export.comparing.layers import LayerComparison, output_scales
from kqat.export.comparing.report import VerifyReport
from kqat.export.tflite import Export
from kqat.ops.arrays import as_numpy
from kqat.transforms.checked_batches import Batch, Slot, batches, slots_of
from kqat.transforms.observing import observing, quantized_layers
from kqat.transforms.shared_ranges import SharedRanges, has_shared_grids
from kqat_runtime.files.reading import read_file
from kqat_runtime.packing.expand import expand_file
from kqat_runtime.running.base import DEFAULT_BATCH
from kqat_runtime.running.isolated import load
from kqat_runtime.running.runtime import Port


@deep_recursion()
def verify(
    model: keras.Model,
    tflite: Any,
    data: Any,
    layers: bool = False,
    batch_size: int = DEFAULT_BATCH,
    isolated: bool | None = None,
    reference: Any = None,
) -> VerifyReport:
    """Compares a quantized model with its `.tflite` file on data, value by value.

    Args:
        model: The Keras model, run with `training=False`; one of tf_keras is compared at its outputs.
        tflite: What `export_tflite` returned, or the bytes or the path of a file, packed or not.
        data: Array; list, tuple or dict of arrays; `(inputs, labels)`; or an iterable of such batches.
        layers: Also compare every quantized tensor inside, to find the first layer that differs.
        batch_size: Samples a batch.
        isolated: Run the file in a process of its own, which a damaged file may crash; by default for
            bytes and paths, not for an `Export`.
        reference: The float model, of which the report then says how far the file's outputs are: SQNR in dB
            and share of equal predictions, for each output.

    Returns:
        A `VerifyReport`: per output the histogram of differences in LSB, agreement of the predictions,
        accuracy where labels were given, and what XNNPACK ran.

    Threads: may share the model, where none changes it meanwhile.

    Raises:
        VerifyError: Model, file and data do not belong together, or the file is damaged.

    Example:
        >>> import keras, kqat, numpy as np
        >>> x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> q = kqat.calibrate(kqat.quantize(model, bits=4), x)
        >>> report = kqat.verify(q, kqat.export_tflite(q), x)
        >>> report.max_lsb, report.top1_agreement
        (0, 1.0)
    """
    _check_arguments(model, batch_size)
    layers = layers and not is_tf_keras(model)
    content = expand_file(read_file(tflite))
    isolated = not isinstance(tflite, Export) if isolated is None else isolated
    with load(content, isolated) as runtime:
        comparison = _Comparison(model, content, runtime, reference)
        inner = LayerComparison(model, content, isolated) if layers else None
        try:
            for batch in batches(data, comparison.slots, batch_size):
                arrays = comparison.add(batch)
                if inner is not None:
                    inner.add(batch.arrays, arrays)
        finally:
            if inner is not None:
                inner.close()
        return comparison.report(inner)


def _check_arguments(model, batch_size) -> None:
    if not isinstance(model, keras.Model) and not is_tf_keras(model):
        raise VerifyError(f"The model must be a keras.Model. Received: {type(model).__name__}.")
    if not isinstance(batch_size, int) or batch_size < 1:
        raise VerifyError(
            f"A batch has at least one sample. Received: batch_size={batch_size!r}. Use 1 or more."
        )


class _Comparison:
    """Runs batches through both sides and counts the differences."""

    def __init__(self, model, content: bytes, runtime, reference=None):
        self.runtime = runtime
        library = import_module("tf_keras") if is_tf_keras(model) else keras
        self.model = library.Model(model.inputs, model.outputs) if _is_graph(model) else model
        self._flat = _is_graph(model)  # then the inputs go in as they come, whatever the caller's structure
        self.slots = _slots(model, runtime.inputs)
        self._input_order = _match(runtime.inputs, [slot.name for slot in self.slots], "inputs")
        _check_inputs(self.slots, [runtime.inputs[i] for i in self._input_order])
        self._scales = output_scales(content)
        self._names: list[str] = list(getattr(model, "output_names", None) or [])
        self._counters: list[OutputCounter] = []
        self._samples = 0
        self._ranges = InputRanges(self.model, [slot.name for slot in self.slots])
        self._shared = SharedRanges(self.model)
        self._reference, self._agreements = reference, []

    def add(self, batch: Batch) -> list[np.ndarray]:
        """Compares one batch and returns the file's inputs, in the file's order."""
        if not self._samples:
            self._look_at_shared_grids(batch)
        ours = keras.tree.flatten(self.model(self._keras_inputs(batch), training=False))
        arrays = [x for _, x in sorted(zip(self._input_order, batch.arrays, strict=True), key=lambda p: p[0])]
        theirs = self.runtime.run(arrays, batch_size=len(batch.arrays[0]))
        order = self._outputs(len(ours))
        labels = _labels(batch.labels, len(ours))
        for counter, y, i, truth in zip(self._counters, ours, order, labels, strict=True):
            counter.add(as_numpy(y).astype(np.float32), theirs[i], truth)
        self._ranges.add(batch.arrays)
        if self._reference is not None:
            self._compare_with_reference(batch, [theirs[i] for i in order])
        self._samples += len(batch.arrays[0])
        return arrays

    def _look_at_shared_grids(self, batch: Batch) -> None:
        """Runs one batch in float, where tensors that share a grid have the sizes that it may take away."""
        if _is_graph(self.model) and has_shared_grids(self.model):
            fake_quants, wrapped = quantized_layers(self.model)
            self._shared.start_batch()
            with observing(fake_quants, wrapped, self._shared.update):
                self.model(self._keras_inputs(batch), training=False)

    def _compare_with_reference(self, batch: Batch, theirs) -> None:
        outputs = keras.tree.flatten(self._reference(self._keras_inputs(batch), training=False))
        self._agreements = self._agreements or [Agreement(counter.name) for counter in self._counters]
        shapes = [tuple(y.shape) for y in outputs], [y.shape for y in theirs]
        if shapes[0] != shapes[1]:
            raise VerifyError(
                f"The reference has other outputs. Received: shapes {shapes[0]} of the reference, "
                f"{shapes[1]} of the file. Use the float model that was quantized."
            )
        for agreement, reference, y in zip(self._agreements, outputs, theirs, strict=True):
            agreement.add(as_numpy(reference), y)

    def _keras_inputs(self, batch: Batch):
        flat = batch.arrays[0] if len(batch.arrays) == 1 else batch.arrays
        return keras.tree.map_structure(keras.ops.convert_to_tensor, flat if self._flat else batch.inputs)

    def _outputs(self, count: int) -> list[int]:
        """Returns which output of the file belongs to each output of the model."""
        if len(self.runtime.outputs) != count:
            raise VerifyError(
                f"The file has other outputs than the model. Received: {len(self.runtime.outputs)} in the "
                f"file, {count} in the model. Export this model again."
            )
        names = self._names if len(self._names) == count else [port.name for port in self.runtime.outputs]
        order = _match(self.runtime.outputs, names, "outputs")
        if not self._counters:
            self._counters = [OutputCounter(n, self._scales[i]) for n, i in zip(names, order, strict=True)]
        return order

    def report(self, inner) -> VerifyReport:
        """Returns what was found."""
        delegation = self.runtime.delegation
        notes = [] if inner is None else list(inner.notes)
        notes += [*self._ranges.notes(), *self._shared.notes()]
        if not delegation.applied:
            notes.append(
                "XNNPACK was not applied: the runtime is too old, was built without it, or none of the "
                "operators can be delegated. Equality is promised for LiteRT's default CPU path only."
            )
        elif delegation.left:
            listed = ", ".join(f"{name} x{count}" for name, count in sorted(delegation.left.items()))
            notes.append(f"not run by XNNPACK: {listed}; {delegation.partitions} partitions")
        return VerifyReport(
            tuple(counter.report() for counter in self._counters),
            self._samples,
            () if inner is None else inner.reports(),
            delegation.applied,
            delegation.partitions,
            dict(delegation.left),
            tuple(notes),
            tuple(self._agreements),
        )


def _labels(labels, outputs: int) -> list:
    if labels is None:
        return [None] * outputs
    if len(labels) != outputs:
        raise VerifyError(f"There is one array of labels an output. Received: {len(labels)}. Use {outputs}.")
    return labels


def _is_graph(model) -> bool:
    """Whether the model is functional or sequential."""
    return bool(getattr(model, "inputs", None)) and bool(getattr(model, "outputs", None))


def _slots(model, ports: Sequence[Port]) -> list[Slot]:
    """Returns what the model expects; for a subclassed model, what the file does."""
    if not _is_graph(model):
        return [Slot(p.name, p.shape, p.dtype if p.scale is None else "float32") for p in ports]
    return slots_of(model)


def _match(ports: Sequence[Port], names: Sequence[str], what: str) -> list[int]:
    """Returns the position in the file of each name: by name where the names agree, else in order."""
    if len(ports) != len(names):
        raise VerifyError(
            f"The file has other {what} than the model. Received: {[p.name for p in ports]} in the file, "
            f"{list(names)} in the model. Export this model again."
        )
    found = [port.name for port in ports]
    if len(set(found)) == len(found) and set(found) == set(names):
        return [found.index(name) for name in names]
    return list(range(len(ports)))


def _check_inputs(slots: Sequence[Slot], ports: Sequence[Port]) -> None:
    for slot, port in zip(slots, ports, strict=True):
        same = len(slot.shape) == len(port.shape) and all(
            s is None or p is None or s == p for s, p in zip(slot.shape[1:], port.shape[1:], strict=True)
        )
        if not same:
            raise FileError(
                f"The file has other inputs than the model. Received: '{port.name}' of shape {port.shape} in "
                f"the file, '{slot.name}' of shape {slot.shape} in the model. Export this model again."
            )
