"""LSTM, GRU and SimpleRNN, and RNN around their cells, forwards, backwards or both ways.

Written step by step. The arithmetic is float, and yet every bit is known: see `cells` and `curves`.
"""

import math

import keras
from keras import layers

from kqat.core.errors import UnsupportedError
from kqat.lowering.activations.names import activation_name
from kqat.lowering.arguments import bind
from kqat.lowering.base import Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.recurrent.cells import CELLS, Parts
from kqat.lowering.recurrent.computed import ComputedCells
from kqat.lowering.recurrent.curves import CURVES, DIRECT
from kqat.lowering.recurrent.written import WrittenCells
from kqat.lowering.registry import register
from kqat.lowering.treatment import Treatment


def is_bounded(layer) -> bool:
    """Tells whether no state of a recurrent layer is larger than 1, so that it needs no grid."""
    if isinstance(layer, layers.Bidirectional):
        return is_bounded(layer.forward_layer) and is_bounded(layer.backward_layer)
    return keras.activations.serialize(layer.cell.activation) in CURVES


KERNELS = ("cell.kernel", "cell.recurrent_kernel")
_NONNEGATIVE = ("relu", "sigmoid", "hard_sigmoid")


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

    needs_grids = reads_masks = float_outputs = True
    rounded_inputs = 1  # states are float

    def needs_output(self, op):
        return not op.return_state  # of an encoder nothing but the states may be read

    def missing(self, node, graph):
        if getattr(node.op, "merge_mode", "") is None:
            return "no kernel for merge_mode=None, two outputs with a grid each"
        if _first_states(node.args, node.kwargs) is not None and len(node.inputs) < 2:
            return "no kernel for an initial state that is a constant"
        if graph.is_unread(node.outputs[0]) and not is_bounded(node.op):
            return "no grid for states that are not bounded by 1, of a layer whose output nobody reads"
        return obstacle(node.op)

    def macs(self, op, inputs, output):
        """Every step multiplies with the weights of the input and of the state."""
        cells = _cells(op)
        if any(type(cell) not in CELLS for cell in cells):
            return None
        kernels = [kernel for cell in cells for kernel in (cell.kernel, cell.recurrent_kernel)]
        return inputs[0][0] * sum(int(math.prod(kernel.shape)) for kernel in kernels)

    def body(self, step, *inputs):
        return self.compute(step, inputs, lambda path: ComputedCells())

    def write_body(self, writer, step, inputs, name):
        if step.weights is None:
            raise UnsupportedError(
                "A recurrent layer is written between quantized tensors only. Received: one in float. "
                "Quantize it, or use fallback='converter'."
            )
        label = name.removesuffix("/float")
        named = lambda path: f"{label}/{path}".rstrip("./")  # noqa: E731
        return self.compute(step, inputs, lambda path: WrittenCells(writer, named(path), path))

    def compute(self, step: Step, inputs, arithmetic):
        """Returns the output, or a list of it and of the last states, which are float.

        Args:
            step: The step.
            inputs: The tensors among the layer's arguments: its input, states, and its mask.
            arithmetic: Function from the path of a layer on the operation to its `ComputedCells` or
                `WrittenCells`.
        """
        raise NotImplementedError


def _cells(op) -> list:
    if isinstance(op, layers.Bidirectional):
        return [op.forward_layer.cell, op.backward_layer.cell]
    return [op.cell]


def _one_way(op) -> Treatment:
    activation = getattr(op.cell, "activation", None)
    nonnegative = isinstance(op, layers.SimpleRNN) and activation_name(activation) in _NONNEGATIVE
    return Treatment("weighted", weights=dict.fromkeys(KERNELS, (1,)), nonnegative=nonnegative)


def _both_ways(op) -> Treatment:
    names = [f"{way}.{name}" for way in ("forward_layer", "backward_layer") for name in KERNELS]
    return Treatment("weighted", weights=dict.fromkeys(names, (1,)))


@register(layers.RNN, layers.LSTM, layers.GRU, layers.SimpleRNN, treatment=_one_way)
class Recurrent(_Recurrence):
    """One way."""

    def compute(self, step, inputs, arithmetic):
        m, (x, states, mask) = arithmetic(""), _arguments(step, inputs)
        output, states = _run(m, step, step.op, "", (x, states, mask))
        return [output, *states] if step.op.return_state else output


@register(layers.Bidirectional, treatment=_both_ways)
class Bidirectional(_Recurrence):
    """Both ways, merged."""

    def compute(self, step, inputs, arithmetic):
        m, op, (x, states, mask) = arithmetic(""), step.op, _arguments(step, inputs)
        half, parts, after = len(states or ()) // 2, [], []
        for path, part in (("forward_layer.", slice(half)), ("backward_layer.", slice(half, None))):
            one, layer = arithmetic(path), getattr(op, path[:-1])
            given = None if states is None else states[part]
            output, last = _run(one, step, layer, path, (x, given, mask), path == "backward_layer.")
            parts.append(output)
            after += last
        output = _MERGES[op.merge_mode](m, *parts)
        return [output, *after] if op.return_state else output


_MERGES = {
    "concat": lambda m, a, b: m.concatenate([a, b]),
    "sum": lambda m, a, b: m.add(a, b),
    "mul": lambda m, a, b: m.multiply(a, b),
    "ave": lambda m, a, b: m.multiply(m.add(a, b), m.number(0.5)),
}


def _first_states(args, kwargs):
    """Returns the initial state that a layer is called with, or `None`."""
    return args[1] if len(args) > 1 else kwargs.get("initial_state")


def _arguments(step: Step, inputs):
    """Returns the input, the list of initial states or `None`, and the mask or `None`."""
    args, kwargs = bind(step, inputs)
    states = _first_states(args, kwargs)
    mask = args[2] if len(args) > 2 else kwargs.get("mask")
    x = args[0] if args else kwargs["sequences"]
    return x, None if states is None else keras.tree.flatten(states), mask


def _run(m, step: Step, layer, path: str, inputs, reverse: bool = False):
    """Returns the output of one layer, and its last states as real values."""
    x, states, mask = inputs
    kernel, recurrent = (step.weights[path + name] for name in KERNELS)
    grids = step.inputs[0], step.output
    cell = CELLS[type(layer.cell)](m, Parts(layer.cell, kernel, recurrent, *grids, states is not None))
    first = None if states is None else cell.first(states)
    loop = (cell.step, cell.project(x), cell.units, cell.states, layer.go_backwards)
    last, every, (h, *rest) = m.loop(*loop, mask, layer.zero_output_for_mask, first)
    if layer.return_sequences and reverse:
        every = m.reverse(every)
    output = cell.real(m.stack(every) if layer.return_sequences else last)
    return output, [cell.real(h), *rest] if layer.return_state else []
