"""Finds out which tensors can never be negative."""

import keras
import numpy as np

from kqat.lowering.activations.names import fused_activation, own_activation
from kqat.lowering.treatment import treatment_for
from kqat.ops.arrays import as_numpy
from kqat.transforms.nodes import Node, Tensor
from kqat.transforms.planning.draft import Draft


def find_nonnegative(draft: Draft) -> Draft:
    """Notes the tensors behind a ReLU, and those that are made of such tensors alone."""
    known: set[Tensor] = set()
    for node in draft.graph.nodes:
        treatment = treatment_for(node.op)
        if treatment is None or node.path in draft.replaced:
            continue
        chain = draft.chains.get(node.path, [])
        relu = own_activation(node.op) in ("relu", "relu6") or fused_activation(node.op)
        inputs_known = bool(node.inputs) and all(t in known for t in node.inputs)
        if treatment.nonnegative or relu or (treatment.keeps_sign and inputs_known and _keeps(node)):
            known.update(node.outputs)
        if any(fused_activation(n.op) for n in chain):
            known.update(chain[-1].outputs)
    return draft.but(nonnegative=frozenset(known))


def _keeps(node: Node) -> bool:
    """Tells whether constants among the arguments leave nonnegative inputs nonnegative."""
    if type(node.op).__name__ not in ("Add", "Multiply"):
        return True
    leaves = keras.tree.flatten((node.args, node.kwargs))
    return all(np.min(as_numpy(x)) >= 0 for x in leaves if not isinstance(x, Tensor))
