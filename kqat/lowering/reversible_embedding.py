"""ReversibleEmbedding: rows of a table, and in reverse products with them. The table stays float.

Forward: the layer itself. In its two modes one table makes outputs of two kinds, for which a wrapper has no
two grids.
"""

from kqat.lowering.arguments import to_numpy
from kqat.lowering.embedding import Embedding
from kqat.lowering.registry import register
from kqat.lowering.treatment import named


@register(*named("ReversibleEmbedding"), treatment=lambda op: None)
class ReversibleEmbedding(Embedding):
    """EMBEDDING_LOOKUP, or FULLY_CONNECTED and the soft cap of the logits."""

    needs_grids = False

    def body(self, step, *inputs):
        return step.op(inputs[0], **_mode(step))

    def write_body(self, writer, step, inputs, name):
        if not _mode(step)["reverse"]:
            return super().write_body(writer, step, inputs, name)
        op, (x,) = step.op, inputs
        table = to_numpy(op.embeddings) if op.tie_weights else to_numpy(op.reverse_embeddings).T
        rows = writer.constant(f"{name}/table", table)
        cap = op.logit_soft_cap
        out = writer.activation(name if cap is None else f"{name}/logits", (*x.shape[:-1], table.shape[0]))
        options = {"keepNumDims": True} if len(x.shape) > 2 else {}
        writer.operator("FULLY_CONNECTED", [x, rows, None], [out], "FullyConnectedOptions", **options)
        return out if cap is None else _write_capped(writer, out, cap, name)


def _mode(step) -> dict:
    reverse = step.args[1] if len(step.args) > 1 else step.kwargs.get("reverse", False)
    return {"reverse": bool(reverse)}


def _write_capped(writer, x, cap, name: str):
    """Appends `tanh(x / cap) * cap`."""
    number = writer.constant(f"{name}/cap", to_numpy(float(cap)))
    share, curve, out = (
        writer.activation(label, x.shape) for label in (f"{name}/share", f"{name}/tanh", name)
    )
    writer.operator("DIV", [x, number], [share], "DivOptions")
    writer.operator("TANH", [share], [curve])
    writer.operator("MUL", [curve, number], [out], "MulOptions")
    return out
