"""The islands of one export: found in a first pass of the emitter, converted, and spliced in by a second."""

import importlib.util
from collections.abc import Sequence

from kqat.core.errors import ExportError
from kqat.export.fallback.island import Island
from kqat.export.fallback.process import convert_all, is_elsewhere
from kqat.export.fallback.reading import read_island
from kqat.export.fallback.splice import splice
from kqat.program.program import FOREIGN, Ref
from kqat.program.writer import Writer
from kqat.transforms.nodes import Node, Tensor


class Islands:
    """Operations without a lowering, by the first tensor that they make."""

    def __init__(self):
        self._found: dict[Tensor, Island] = {}
        self._files: dict[Tensor, bytes] = {}

    def __len__(self):
        return len(self._found)

    def __str__(self):
        return ", ".join(dict.fromkeys(map(str, self._found.values())))

    def __contains__(self, node: Node) -> bool:
        return node.outputs[0] in self._found

    def write(
        self, writer: Writer, node: Node, inputs: list[Ref], args, kwargs, specs: Sequence
    ) -> list[Ref]:
        """Writes an island; before it is converted, the tensors that it will make.

        Args:
            writer: The file under construction.
            node: The call.
            inputs: The tensors that it reads, float or integer.
            args: Positional arguments, `Input(i)` for the i-th tensor.
            kwargs: Keyword arguments, likewise.
            specs: Symbolic tensor of each output.
        """
        key, name = node.outputs[0], node.op.name
        names = [name if i == 0 else f"{name}_{i}" for i in range(len(specs))]
        with writer.owned(FOREIGN, name):
            if key in self._files:
                return splice(writer, self._files[key], self._found[key], inputs, names)
            ends = [(ref.shape, ref.dtype) for ref in inputs]
            self._found[key] = read_island(node.path, node.op, ends, args, kwargs, len(specs), is_elsewhere())
            return [
                writer.activation(name, spec.shape, dtype=str(spec.dtype))
                for name, spec in zip(names, specs, strict=True)
            ]

    def convert(self) -> None:
        """Has TensorFlow's converter write all islands.

        Raises:
            ExportError: TensorFlow is not installed, or its converter refuses an island.
        """
        if importlib.util.find_spec("tensorflow") is None:
            raise ExportError(
                f"{len(self._found)} layers can only be written by TensorFlow's converter, and TensorFlow is "
                f"not installed. Received: {self}. Use pip install 'kqat[tensorflow]', or other layers."
            )
        self._files = dict(zip(self._found, convert_all(list(self._found.values())), strict=True))
