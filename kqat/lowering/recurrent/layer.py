"""LSTM, GRU and SimpleRNN, and RNN around their cells, forwards, backwards or both ways.

Written step by step. The arithmetic is float, and yet every bit is known: see `cells` and `curves`.
"""

import keras
from keras import layers

from kqat.lowering.base import Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.recurrent.cells import CELLS, Parts
from kqat.lowering.recurrent.curves import CURVES, DIRECT
from kqat.lowering.recurrent.evaluated import Evaluated
from kqat.lowering.recurrent.written import Written
from kqat.lowering.registry import register

KERNELS = ("cell.kernel", "cell.recurrent_kernel")


def obstacle(layer) -> str | None:
    """Returns why a recurrent layer stays float, or `None`."""
    if isinstance(layer, layers.Bidirectional):
        return obstacle(layer.forward_layer) or obstacle(layer.backward_layer)
    if type(layer.cell) not in CELLS:
        return f"no kernel for the cell {type(layer.cell).__name__}"
    if layer.zero_output_for_mask and not layer.return_sequences:
        return "no kernel for zero_output_for_mask=True where only the last output is returned"
    if layer.stateful:
        return "no kernel for stateful=True: a file forgets its state between two calls"
    gate = getattr(layer.cell, "recurrent_activation", None)
    for function, known in ((layer.cell.activation, (*CURVES, *DIRECT)), (gate, (*CURVES,))):
        name = keras.activations.serialize(function) if function is not None else None
        if name is not None and name not in known:
            return f"no kernel for recurrent layers with activation={name!r}"
    return None


class _Recurrence(FloatBody):
    """Base of both: one computation for the tensors of a backend and for the file."""

    reason = "the runtime has no integer kernel for its loop; the float operations are exact"

    needs_grids = reads_masks = True

    def missing(self, node):
        given = {key for key, value in node.kwargs.items() if value is not None} - {"training", "mask"}
        if given or len(node.args) > 1:
            return "no kernel for recurrent layers that are given an initial state"
        if len(node.outputs) > 1:
            return "no kernel for recurrent layers that return their state"
        return obstacle(node.op)

    def body(self, step, *inputs):
        return self.compute(step, inputs, lambda path: Evaluated())

    def write_body(self, writer, step, inputs, name):
        if step.weights is None:
            raise NotImplementedError(
                "A recurrent layer is written between quantized tensors only. Received: one in float. "
                "Quantize it, or use fallback='converter'."
            )
        label = name.removesuffix("/float")
        return self.compute(step, inputs, lambda path: Written(writer, f"{label}/{path}".rstrip("./"), path))

    def compute(self, step: Step, inputs, arithmetic):
        """Returns the output.

        Args:
            step: The step.
            inputs: The input, and the mask if the layer is called with one.
            arithmetic: Function from the path of a layer on the operation to `Evaluated` or `Written`.
        """
        raise NotImplementedError


@register(layers.RNN, layers.LSTM, layers.GRU, layers.SimpleRNN)
class Recurrent(_Recurrence):
    """One way."""

    def compute(self, step, inputs, arithmetic):
        m = arithmetic("")
        cell, last, every = _run(m, step, step.op, "", inputs)
        return cell.real(m.stack(every) if step.op.return_sequences else last)


@register(layers.Bidirectional)
class Bidirectional(_Recurrence):
    """Both ways, merged."""

    def compute(self, step, inputs, arithmetic):
        m, op = arithmetic(""), step.op
        parts = []
        for path in ("forward_layer.", "backward_layer."):
            one, layer = arithmetic(path), getattr(op, path[:-1])
            cell, last, every = _run(one, step, layer, path, inputs)
            if layer.return_sequences and path == "backward_layer.":
                every = one.reverse(every)
            parts.append(cell.real(one.stack(every) if layer.return_sequences else last))
        return _MERGES[op.merge_mode](m, *parts)


_MERGES = {
    "concat": lambda m, a, b: m.concatenate([a, b]),
    "sum": lambda m, a, b: m.add(a, b),
    "mul": lambda m, a, b: m.multiply(a, b),
    "ave": lambda m, a, b: m.multiply(m.add(a, b), m.number(0.5)),
}


def _run(m, step: Step, layer, path: str, inputs):
    """Returns the cell of one layer, its last state, and the states of all steps."""
    kernel, recurrent = (step.weights[path + name] for name in KERNELS)
    cell = CELLS[type(layer.cell)](m, Parts(layer.cell, kernel, recurrent, step.inputs[0], step.output))
    steps, mask = cell.project(inputs[0]), next(iter(inputs[1:]), None)
    loop = (cell.step, steps, cell.units, cell.states, layer.go_backwards)
    return cell, *m.loop(*loop, mask, layer.zero_output_for_mask)
