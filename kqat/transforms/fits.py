"""Whether a plan, which may have been edited, fits a graph: modes, weights, quantizers, names, chains."""

from kqat.core import families
from kqat.core.errors import PlanError
from kqat.core.spec import LayerPlan
from kqat.lowering.treatment import treatment_for
from kqat.transforms.collecting import is_concatenation
from kqat.transforms.insert import activation_quantizer, weight_quantizer
from kqat.transforms.limits import obstacle
from kqat.transforms.nodes import Graph, Node
from kqat.transforms.plan import Plan, kind_of
from kqat.transforms.planning.fuse import find_chains


def check_fits(plan: Plan, graph: Graph) -> None:
    """Checks the entries of a plan against the layers that they are for.

    Args:
        plan: The plan; it has an entry for each layer.
        graph: The graph, compound layers split.

    Raises:
        PlanError: An entry cannot be followed.
    """
    nodes = {node.path: node for node in graph.nodes}
    for layer in plan:
        node = nodes.get(layer.path)
        name, kind = (graph.names[layer.path], kind_of(node.op)) if node else (layer.path, "Input")
        if layer.path in nodes or layer.path in graph.input_names.values():
            _same(layer, "name", name)
            _same(layer, "kind", kind)
        for field in ("output", "reads"):
            _check_grids(layer, field, {*graph.names.values(), *graph.input_names.values()})
        _check_parts(layer)
        _check_weights(layer, node)
        _check_mode(layer, node, graph)
    _check_chains(plan, graph)


def _same(layer: LayerPlan, field: str, expected: str) -> None:
    if getattr(layer, field) != expected:
        raise _refusal(layer, field, f"Use {expected!r}, what it is in the model.")


def _refusal(layer: LayerPlan, field: str, remedy: str) -> PlanError:
    return PlanError(
        f"The plan of layer '{layer.path}' cannot be followed. Received: {field}={getattr(layer, field)!r}. "
        f"{remedy}"
    )


def _check_grids(layer: LayerPlan, field: str, taken: set[str]) -> None:
    """Checks the grid of the output, or those that inputs are read on."""
    grids = [layer.output] if field == "output" else layer.reads
    for grid in filter(None, grids):
        known = (*families.for_activations(), "fixed")
        if grid.quantizer not in known or (grid.range is None) != (grid.quantizer != "fixed"):
            remedy = f"Use one of {', '.join(known)} as its quantizer, and a range with 'fixed' only."
            raise _refusal(layer, field, remedy)
        if not grid.name or "/" in grid.name or grid.name in taken:
            raise _refusal(layer, field, "Use a name without '/' that no layer has.")
        if layer.mode in ("passthrough", "fused") or (field == "reads" and layer.mode == "float"):
            remedy = f"Use {'null' if field == 'output' else '[]'}: a layer in mode {layer.mode!r} has none."
            raise _refusal(layer, field, remedy)
        try:
            activation_quantizer(grid)
        except (TypeError, ValueError) as error:
            raise _refusal(layer, field, str(error)) from error


def _check_parts(layer: LayerPlan) -> None:
    """Checks the entries that only some modes have."""
    if layer.mode != "fused" and layer.into is not None:
        raise _refusal(layer, "into", f"Use null: a layer in mode {layer.mode!r} is part of no other.")
    if layer.activation_replaced and layer.output is None:
        raise _refusal(layer, "activation_replaced", "Use false: no signs are made of its output.")


def _check_weights(layer: LayerPlan, node: Node | None) -> None:
    treatment = treatment_for(node.op) if node is not None else None
    axes = treatment.weights if treatment is not None and layer.mode == "quantized" else {}
    if {*layer.weights} != {*axes}:
        wanted = f"an entry for each of {[*axes]}" if axes else "none, {}"
        raise _refusal(layer, "weights", f"Use {wanted}.")
    for name, weight in layer.weights.items():
        known = families.for_weights()
        if weight.quantizer not in known or weight.axis != tuple(axes[name]):
            remedy = f"Use one of {', '.join(known)} with axis={[*axes[name]]} for {name!r}."
            raise _refusal(layer, "weights", remedy)
        try:
            weight_quantizer(weight)
        except (TypeError, ValueError) as error:
            raise _refusal(layer, "weights", str(error)) from error


def _check_mode(layer: LayerPlan, node: Node | None, graph: Graph) -> None:
    if node is None:
        if layer.mode != ("float" if layer.output is None else "quantized"):
            raise _refusal(
                layer, "mode", "Use 'quantized' for an input with a grid, 'float' for one without."
            )
        return
    if layer.mode in ("float", "fused"):
        return
    treatment = treatment_for(node.op)
    why = obstacle(node, graph, treatment)
    if why:
        raise _refusal(layer, "mode", f"Use 'float': {why}.")
    fitting = "passthrough" if treatment.kind == "passthrough" else "quantized"
    apart = is_concatenation(node.op) and layer.mode == "quantized"  # its inputs keep grids of their own
    if layer.mode != fitting and not apart:
        raise _refusal(layer, "mode", f"Use {fitting!r} or 'float'.")


def _check_chains(plan: Plan, graph: Graph) -> None:
    """Checks that fused layers are what the runtime computes as one kernel."""
    modes = {layer.path: layer.mode for layer in plan}
    chains = find_chains(graph, lambda node: modes[node.path] != "float")
    into = {layer.path: layer.into for layer in plan if layer.mode == "fused"}
    for path, head in into.items():
        chain = [node.path for node in chains.get(head or "", [])]
        before = chain[: chain.index(path)] if path in chain else [path]
        if path not in chain or any(into.get(other) != head for other in before):
            layer = next(layer for layer in plan if layer.path == path)
            raise _refusal(
                layer, "into", "Use the layer right before it, if the runtime computes both as one."
            )
