"""A plan that the user brings along: the graph that it was made for, and whether it fits."""

from kqat.core.errors import PlanError
from kqat.transforms.fits import check_fits
from kqat.transforms.nodes import Graph
from kqat.transforms.plan import Plan
from kqat.transforms.reorder import behind_pooling, is_behind_pooling, movable
from kqat.transforms.signs import sign_readers, with_sign_inputs
from kqat.transforms.splitting.split import split

_WIDTH = 8  # of both by default


def replayed(graph: Graph, recipe: Plan, options: dict):
    """Returns the split graph of a model, the plan, and the origins of split layers.

    Args:
        graph: The traced model.
        recipe: The plan.
        options: The other arguments of `quantize`.

    Raises:
        PlanError: The plan is not one for this model, or an entry of it makes no sense.
    """
    extra = {
        key
        for key in ("include", "exclude", "weight_bits", "activation_bits", "move_batchnorm")
        if options.get(key) is not None
    }
    extra |= {key for key in ("stream_bits", "boundary_bits") if options.get(key, _WIDTH) != _WIDTH}
    if extra:
        raise PlanError(
            f"A plan decides everything. Received: recipe=Plan together with {sorted(extra)}. "
            "Pass these to plan(), or edit the plan."
        )
    recipe.check()
    whole = {layer.path for layer in recipe if layer.mode == "float"}
    graph, origins = split(graph, lambda node: node.path not in whole)
    order = [layer.path for layer in recipe]
    graph = behind_pooling(graph, [run for run in movable(graph) if is_behind_pooling(run, order)])
    graph = with_sign_inputs(graph, sign_readers(recipe))
    ours = {node.path for node in graph.nodes} | set(graph.input_names.values())
    theirs = {layer.path for layer in recipe}
    if theirs - ours:  # a layer that was split, and then edited back to float, is whole again
        parts = split(graph, lambda node: True)[0].wholes
        theirs -= {path for path in (theirs & whole) - ours if path in parts and parts[path].path in whole}
    if ours != theirs:
        raise PlanError(
            f"The plan is for other layers. Received: a plan without {sorted(ours - theirs)[:5]} and with "
            f"{sorted(theirs - ours)[:5]} that the model does not have. Use plan() on this model."
        )
    check_fits(recipe, graph)
    return graph, recipe, origins
