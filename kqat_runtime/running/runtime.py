"""Runs a `.tflite` file on whole arrays with LiteRT's default CPU path."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kqat_runtime.errors import FileError
from kqat_runtime.packing.expand import expand_file
from kqat_runtime.running.base import DEFAULT_BATCH, FileRuntime, closed, require_inputs
from kqat_runtime.running.structure import check_structure


@dataclass(frozen=True)
class Port:
    """An input or output of a file.

    Args:
        name: Name in the signature, or that of the tensor where there is no signature.
        shape: Dimensions; the batch is `None` where it can be resized.
        dtype: NumPy name of the stored type.
        scale: Step in real units of a quantized tensor, else `None`.
        zero_point: Code of real 0.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int = 0

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Returns real values, or values that are codes already, in the stored type.

        Raises:
            FileError: The values do not fit the port's type.
        """
        values = np.asarray(values)
        if values.dtype == self.dtype:
            return values
        if self.scale is None:
            return self._cast(values)
        # The runtime's own QUANTIZE multiplies by the reciprocal, in float32, and rounds half to even.
        levels = np.rint(values.astype(np.float32) * (np.float32(1) / np.float32(self.scale)))
        limits = np.iinfo(self.dtype)
        return np.clip(levels + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Returns stored values as real ones."""
        if self.scale is None:
            return stored
        return (stored.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def _cast(self, values):
        with np.errstate(invalid="ignore"):
            cast = values.astype(self.dtype)
        if np.dtype(self.dtype).kind in "iu" and not np.array_equal(cast, values):
            raise FileError(
                f"Input '{self.name}' of the file holds whole numbers. Received: {values.dtype} values that "
                f"{self.dtype} cannot hold. Use {self.dtype} values."
            )
        return cast


@dataclass(frozen=True)
class Delegation:
    """What the default delegate, XNNPACK, took of a file.

    Args:
        partitions: Number of connected pieces that it runs.
        left: Operators that it did not take, with their count.
    """

    partitions: int
    left: Counter

    @property
    def applied(self) -> bool:
        """Whether the delegate runs any operator."""
        return self.partitions > 0

    @property
    def whole(self) -> bool:
        """Whether the delegate runs the whole graph in one piece."""
        return self.partitions == 1 and not self.left


class Runtime(FileRuntime):
    """A loaded file.

    Threads may share it: each call gets its own answer, one batch computes at a time.

    Args:
        content: The file; a packed one is expanded first, so that it computes what the exact one does.
        threads: Threads of the interpreter.

    Raises:
        FileError: The bytes are not a model, or the runtime refuses them.
    """

    def __init__(self, content: bytes, threads: int = 1):
        content = expand_file(content)
        check_structure(content)
        self._batch = None
        self._lock = threading.Lock()
        self._interpreter: Any = None
        try:
            self._interpreter = Interpreter(model_content=bytes(content), num_threads=threads)
            self._interpreter.allocate_tensors()
            self._inputs = self._interpreter.get_input_details()
            self._outputs = self._interpreter.get_output_details()
            self.inputs = self._ports(self._inputs, "inputs")
            self.outputs = self._ports(self._outputs, "outputs")
        except (RuntimeError, ValueError) as error:
            raise FileError(
                f"The runtime refuses the file: {_one_line(error)}. Received: {len(content)} bytes. "
                "Use a file written by kqat.export_tflite."
            ) from error

    def close(self) -> None:
        """Frees the interpreter."""
        with self._lock:
            self._interpreter = None

    @property
    def delegation(self) -> Delegation:
        """What XNNPACK took of the file."""
        with self._lock:
            if self._interpreter is None:
                raise closed()
            return delegation(self._interpreter._get_ops_details())

    def run(
        self, arrays: np.ndarray | Sequence[np.ndarray], batch_size: int = DEFAULT_BATCH, real: bool = True
    ):
        """Returns the outputs for whole arrays, computed in batches; see `FileRuntime.run`."""
        arrays = require_inputs(self.inputs, arrays)
        parts = [self._run_batch(batch, count) for batch, count in self._batches(arrays, batch_size)]
        joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return [p.decode(x) if real else x for p, x in zip(self.outputs, joined, strict=True)]

    def _batches(self, arrays, batch_size) -> Iterator[tuple[list[np.ndarray], int]]:
        """Yields encoded batches and how many of their samples count; the rest is padding."""
        fixed = [port.shape[0] for port in self.inputs if port.shape and port.shape[0] is not None]
        size = fixed[0] if fixed else batch_size
        for start in range(0, len(arrays[0]), size):
            batch = [p.encode(x[start : start + size]) for p, x in zip(self.inputs, arrays, strict=True)]
            count = len(batch[0])
            if fixed and count < size:
                batch = [np.concatenate([x, np.repeat(x[-1:], size - count, axis=0)]) for x in batch]
            yield batch, count

    def _run_batch(self, batch, count) -> list[np.ndarray]:
        with self._lock:
            if self._interpreter is None:
                raise closed()
            return self._run_alone(batch, count)

    def _run_alone(self, batch, count) -> list[np.ndarray]:
        try:
            self._resize(len(batch[0]))
            for detail, values in zip(self._inputs, batch, strict=True):
                self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(values))
            self._interpreter.invoke()
            return [np.atleast_1d(self._interpreter.get_tensor(d["index"]))[:count] for d in self._outputs]
        except (RuntimeError, ValueError) as error:
            raise FileError(
                f"The runtime cannot run the file: {_one_line(error)}. Received: inputs of shapes "
                f"{[x.shape for x in batch]}."
            ) from error

    def _resize(self, count: int) -> None:
        if count == self._batch:
            return
        for port, detail in zip(self.inputs, self._inputs, strict=True):
            if port.shape and port.shape[0] is None:
                self._interpreter.resize_tensor_input(detail["index"], (count, *port.shape[1:]))
        self._batch = None  # of no size until the memory is there
        self._interpreter.allocate_tensors()
        self._batch = count

    def _ports(self, details, side) -> tuple[Port, ...]:
        names = self._signature_names(side)
        return tuple(_port(detail, names.get(detail["index"], detail["name"])) for detail in details)

    def _signature_names(self, side) -> dict[int, str]:
        """Returns the name in the first signature of each tensor index."""
        for signature in self._interpreter._get_full_signature_list().values():
            return {index: name for name, index in signature[side].items()}
        return {}


def _port(detail, name) -> Port:
    shape = tuple(int(size) for size in detail["shape"])
    signature = detail.get("shape_signature", ())
    if len(signature) == len(shape) and shape and signature[0] == -1:
        shape = (None, *shape[1:])
    scales = detail["quantization_parameters"]["scales"]
    dtype = np.dtype(detail["dtype"])
    if len(scales) != 1 or dtype.kind not in "iu":
        return Port(name, shape, dtype.name)
    zero_point = int(detail["quantization_parameters"]["zero_points"][0])
    return Port(name, shape, dtype.name, float(scales[0]), zero_point)


def delegation(operators: Sequence[dict]) -> Delegation:
    """Returns what was delegated, from the interpreter's list of operators."""
    partitions, left = left_behind(operators)
    names = [op["op_name"] for op in operators if op["op_name"] != "DELEGATE"]
    return Delegation(partitions, Counter(names[number] for number in left))


def left_behind(operators: Sequence[dict]) -> tuple[int, list[int]]:
    """Returns the number of partitions, and the positions in the file of the operators that no delegate took.

    The list keeps the operators that a delegate replaced and appends one `DELEGATE` a partition, so
    the replaced ones are those between a partition's outputs and its inputs.
    """
    nodes = [op for op in operators if op["op_name"] != "DELEGATE"]
    partitions = [op for op in operators if op["op_name"] == "DELEGATE"]
    maker = {int(tensor): i for i, op in enumerate(nodes) for tensor in op["outputs"]}
    taken: set[int] = set()
    for partition in partitions:
        stop = {int(tensor) for tensor in partition["inputs"]}
        stack = [int(tensor) for tensor in partition["outputs"]]
        while stack:
            tensor = stack.pop()
            node = maker.get(tensor)
            if tensor in stop or node is None or node in taken:
                continue
            taken.add(node)
            stack.extend(int(t) for t in nodes[node]["inputs"])
    return len(partitions), [i for i in range(len(nodes)) if i not in taken]


def _one_line(error) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
