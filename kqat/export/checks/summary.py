"""Reopens a finished file and checks that the runtime takes it as it was meant."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_edge_litert.interpreter import Interpreter

from kqat.formats.tflite.opened import Opened


@dataclass(frozen=True)
class Summary:
    """What is in a file.

    Args:
        operators: How often each operator occurs.
        inputs: Stored type of each graph input, in order.
        outputs: Stored type of each graph output, in order.
    """

    operators: Counter
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def summarize(content: bytes) -> Summary:
    """Returns the operators and the border types of a file, read without running it."""
    file = Opened(content)
    types = [tuple(file.tensors[index].type for index in side) for side in (file.inputs, file.outputs)]
    return Summary(Counter(operator.builtin for operator in file.operators), *types)


def check_file(
    content: bytes,
    operators: Mapping[str, int] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Summary:
    """Loads a file into the default interpreter and compares it with what was meant to be written.

    Args:
        content: The file.
        operators: Expected count of each built-in operator, or `None` not to ask.
        inputs: Expected types of the graph inputs, for example `("float32",)`.
        outputs: Likewise.

    Raises:
        RuntimeError: The runtime refuses the file, or it differs from the expectation.
    """
    Interpreter(model_content=content, num_threads=1).allocate_tensors()
    found = summarize(content)
    for what, expected, received in (
        ("operators", operators, dict(found.operators)),
        ("input types", inputs, found.inputs),
        ("output types", outputs, found.outputs),
    ):
        expected = dict(expected) if isinstance(expected, Counter) else expected
        if expected is not None and expected != received:
            raise RuntimeError(
                f"The written file has other {what} than planned. Received: {received}. Expected: {expected}."
            )
    return found
