"""Embedding: rows of a table of integers, each row with a scale of its own.

Forward: `clip(rint((values[id] * scale[id]) * (1 / so)), qmin, qmax) * so`
"""

import keras
import numpy as np
from keras import ops

from kqat.lowering.base import Weights
from kqat.lowering.float_body import FloatBody, weight, write_integers, write_weight
from kqat.lowering.registry import register
from kqat.lowering.treatment import Treatment, treatment_for, weighted


def _treatment(op) -> Treatment | None:
    """With low-rank updates the table is computed, not stored."""
    return None if op.lora_enabled else weighted(0, attribute="embeddings")


@register(keras.layers.Embedding, treatment=_treatment)
class Embedding(FloatBody):
    """Written as EMBEDDING_LOOKUP, whose table stays in integers, and QUANTIZE."""

    rounded_inputs = 0  # ids

    reason = "the rows of the table have scales of their own"

    def missing(self, node, graph):
        """Ids that others read as values would have to lie on a grid."""
        ids = node.inputs[0]
        readers = [call.op for call in graph.consumers()[ids]]  # a comparison, as of a mask, makes no values
        others = [op for op in readers if not isinstance(op, keras.layers.Embedding) and treatment_for(op)]
        if others and "float" in str(graph.specs[ids].dtype):
            return "no quantization by ids that are read as values as well"
        return None

    def body(self, step, ids):
        ids = ops.cast(ids, "int32")  # cuts off what is behind the point, as CAST does
        return ops.take(weight(step, "embeddings"), ids, axis=0)

    def write_body(self, writer, step, inputs, name):
        (ids,) = inputs
        table = _write_table(writer, step, f"{name}/table")
        shape = (*ids.shape, table.shape[1])
        ids = writer.reshape(writer.cast(ids, "int32", f"{name}/ids"), (_product(ids.shape),), f"{name}/flat")
        label = name if len(shape) == 2 else f"{name}/rows"
        rows = writer.activation(label, (*ids.shape, shape[-1]))
        writer.operator("EMBEDDING_LOOKUP", [ids, table], [rows], None)
        return rows if len(shape) == 2 else writer.reshape(rows, shape, name)


def _write_table(writer, step, label):
    stored = (step.weights or {}).get("embeddings")
    if not isinstance(stored, Weights):
        return write_weight(writer, step, "embeddings", label)
    return write_integers(writer, stored, "embeddings", label)


def _product(shape) -> int | None:
    return None if None in shape else int(np.prod(shape))
