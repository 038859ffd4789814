"""The finished file with its weights in fewer bits."""

from kqat.core.errors import ExportError
from kqat.export.packing.pack import pack_file, packing_notes
from kqat.export.writing.plan import Plan
from kqat_runtime.packing.expand import expand_file

FORMS = ("exact", "packed")
_MICRO_INT4 = ("CONV_2D", "DEPTHWISE_CONV_2D")  # what has an INT4 kernel for per-channel weights there


def pack(content: bytes, widths: dict[int, int], plan: Plan, target: str) -> tuple[bytes, list[str]]:
    """Returns the packed file and what there is to note.

    Args:
        content: The exact file, already checked.
        widths: Bits of each weight tensor.
        plan: What was written.
        target: For `"tflite-micro"`, which has to run the file as it is, only what it has kernels for.

    Raises:
        ExportError: Expanding the packed file does not give the exact one back.
    """
    if target == "tflite-micro":
        widths = _micro_widths(widths, plan)
    packed = pack_file(content, widths, floats=target != "tflite-micro")
    if expand_file(packed) != content:
        layers = ", ".join(sorted({weights.layer for weights in plan.weights if weights.index in widths}))
        raise ExportError(
            f"Packing is not reversible here. Received: weights of {layers}. Use weights='exact'."
        )
    return packed, packing_notes(packed)


def _micro_widths(widths, plan: Plan) -> dict[int, int]:
    """Returns the 4-bit weights that tflite-micro reads packed."""
    kinds = {index: operator.builtin for operator in plan.operators for index in operator.inputs}
    return {i: bits for i, bits in widths.items() if bits in (3, 4) and kinds.get(i) in _MICRO_INT4}
