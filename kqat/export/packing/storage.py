"""The finished file with its weights in fewer bits."""

from kqat.core.errors import ExportError
from kqat.export.packing.pack import pack_file, packing_notes
from kqat.program.program import Program
from kqat.targets import Target
from kqat_runtime.packing.expand import expand_file

FORMS = ("exact", "packed")


def pack(content: bytes, program: Program, target: Target) -> tuple[bytes, list[str]]:
    """Returns the packed file and notes.

    Args:
        content: The exact file, already checked.
        program: What was written.
        target: What is to run it.

    Raises:
        ExportError: Expanding the packed file does not give the exact one back.
    """
    readers = {index: operator.builtin for operator in program.operations for index in operator.inputs}
    widths = target.storable(program.widths, readers)
    packed = pack_file(content, widths, floats=target.packed is None)
    if expand_file(packed) != content:
        layers = ", ".join(sorted({weights.layer for weights in program.weights if weights.index in widths}))
        raise ExportError(
            f"Packing is not reversible here. Received: weights of {layers}. Use weights='exact'."
        )
    return packed, packing_notes(packed)
