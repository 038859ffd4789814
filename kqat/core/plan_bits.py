"""The same plan at other widths: of weights, and of the inputs that layers with weights read."""

from dataclasses import replace

from kqat.core import families
from kqat.core.errors import PlanError
from kqat.core.spec import LayerPlan, TensorPlan, WeightPlan, check_bits

_KERNEL_BITS = 8  # wider weights have no kernel


def with_widths(
    layers: tuple[LayerPlan, ...], chosen: set[str], weights: int | None, inputs: int | None
) -> tuple[LayerPlan, ...]:
    """Returns the layers of a plan with other widths for some of them.

    Args:
        layers: All layers.
        chosen: Paths of those to change; they are quantized and have weights.
        weights: Width of the weights; `None` leaves them.
        inputs: Width at which the layers read; `None` leaves it.

    Raises:
        PlanError: A width is out of range, or an input is stored with fewer bits than it is to be read at.
    """
    if weights is not None:
        check_bits(weights, "weights")
        layers = tuple(_weighted(layer, weights) if layer.path in chosen else layer for layer in layers)
    if inputs is None:
        return layers
    check_bits(inputs, "inputs")
    stored = {layer.output.name: layer.output for layer in layers if layer.output is not None}
    taken = {*(layer.name for layer in layers), *stored}
    new = _known(layer for layer in layers if layer.path not in chosen)
    return tuple(
        replace(layer, reads=_reads(layer, inputs, stored, taken, new)) if layer.path in chosen else layer
        for layer in layers
    )


def _known(layers) -> dict[tuple[str, int], TensorPlan]:
    """Returns the grids that layers read on, by the name of the grid that is stored, and the width."""
    pairs = [pair for layer in layers for pair in zip(layer.inputs, layer.reads, strict=False)]
    return {(name, grid.bits): grid for name, grid in pairs if name is not None and grid is not None}


def _weighted(layer: LayerPlan, bits: int) -> LayerPlan:
    weights = {name: _of_width(weight, bits) for name, weight in layer.weights.items()}
    return replace(layer, weights=weights, file=layer.file if bits <= _KERNEL_BITS else "nothing")


def _of_width(weight: WeightPlan, bits: int) -> WeightPlan:
    """A quantizer that suits any width stays; those of the automatic choice are chosen anew."""
    automatic = {families.weight_quantizer_name(families.AUTO, width) for width in (1, 4, 8)}
    name = weight.quantizer
    if bits == 1 or name in automatic:
        name = families.weight_quantizer_name(families.AUTO, bits)
    return WeightPlan(bits, name, weight.axis)


def _reads(layer: LayerPlan, bits: int, stored, taken: set[str], new) -> tuple[TensorPlan | None, ...]:
    if not layer.inputs:
        raise PlanError(
            f"The plan does not say what layer '{layer.path}' reads. Received: a plan without 'inputs', of "
            "an earlier version of kqat. Use plan() anew."
        )
    found = [_read(layer, name, bits, stored, taken, new) for name in layer.inputs]
    return tuple(found) if any(found) else ()


def _read(layer: LayerPlan, name: str | None, bits: int, stored, taken, new) -> TensorPlan | None:
    if name is None or stored[name].bits == bits:
        return None
    if stored[name].bits < bits:
        raise PlanError(
            f"Layer '{layer.path}' cannot read more than is stored. Received: inputs={bits} for a tensor "
            f"of {stored[name].bits} bits, '{name}'. Use fewer, or quantize with stream_bits={bits}."
        )
    if (name, bits) not in new:  # one requantization for all layers with the same wish
        quantizer = families.activation_quantizer_name(families.AUTO, bits)
        signed = False if stored[name].signed is False else (None if families.finds_sign(quantizer) else True)
        own, count = f"{layer.name}_input_quant", 1
        while own in taken:
            own, count = f"{layer.name}_input_quant_{count}", count + 1
        taken.add(own)
        new[name, bits] = TensorPlan(bits, quantizer, signed, own)
    return new[name, bits]
