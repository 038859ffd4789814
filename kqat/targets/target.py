"""What a runtime can run and how it reads a file, as data."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """A runtime, or a compiler, that a file is written for.

    Args:
        name: What `export_tflite(target=...)` calls it.
        kernels: By operator (`"CONV_2D"`), the types that the activations of its kernel may have: `"int8"`,
            `"int16"`, `"float32"`, ... `None` where every operator that kqat writes has one.
        remedies: By operator that has no kernel, what to do, as a sentence.
        packed: By operator, the widths of weights that its kernel reads in fewer than 8 bits each. `None`
            where kqat's loader expands the file first, which reads every width.
        notes: What a user should know of every file for it.
        source: Where this is from.

    Threads: may share it; nothing changes it.

    Example:
        >>> import kqat
        >>> npu = kqat.targets.Target("my-npu", kernels={"CONV_2D": {"int8"}, "RESHAPE": {"int8"}})
        >>> npu.problem("CONV_2D", ["int8", "int16"])
        'has no kernel for int16 there'
    """

    name: str
    kernels: Mapping[str, Set[str]] | None = None
    remedies: Mapping[str, str] = field(default_factory=dict)
    packed: Mapping[str, Set[int]] | None = None
    notes: tuple[str, ...] = ()
    source: str = ""

    def problem(self, operator: str, types: Any) -> str | None:
        """Returns what is lacking for an operator, as the rest of a sentence, or `None`.

        Args:
            operator: The operator.
            types: Types of its activations, inputs and outputs.
        """
        if self.kernels is None:
            return None
        if operator not in self.kernels:
            return "has no kernel there"
        other = {str(kind) for kind in types} - self.kernels[operator]
        return f"has no kernel for {', '.join(sorted(other))} there" if other else None

    def remedy(self, operator: str) -> str:
        """Returns what to do where an operator has no kernel."""
        return self.remedies.get(operator, "Use another layer in its place, or target='litert'.")

    def storable(self, widths: Mapping[int, int], readers: Mapping[int, str]) -> dict[int, int]:
        """Returns the weights that can be stored in fewer bits.

        Args:
            widths: Bits of each weight, by number of the tensor.
            readers: The operator that reads it.
        """
        if self.packed is None:
            return dict(widths)
        none: Set[int] = frozenset()
        return {i: bits for i, bits in widths.items() if bits in self.packed.get(readers.get(i, ""), none)}
