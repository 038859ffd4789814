"""The operators of the file are those that the layers planned, in their order."""

from collections import Counter

from kqat.export.checks.opened import Opened, fail
from kqat.export.writing.plan import Operator, Plan


def check_operators(file: Opened, plan: Plan) -> None:
    """Compares kind, version and tensors of every operator, and first how often each kind occurs."""
    found = Counter(operator.builtin for operator in file.operators)
    planned = Counter(operator.builtin for operator in plan.operators)
    if found != planned:
        wrong = {kind for kind in found | planned if found[kind] != planned[kind]}
        layers = dict.fromkeys(operator.layer for operator in plan.operators if operator.builtin in wrong)
        fail(_first_different(file, plan) or ", ".join(layers), "other operators", dict(planned), dict(found))
    for operator, theirs in zip(plan.operators, file.operators, strict=True):
        mine = _form(operator)
        if mine != _form(theirs):
            fail(operator.layer, "another operator", mine, _form(theirs))


def _form(operator) -> tuple:
    return operator.builtin, operator.version, tuple(operator.inputs), tuple(operator.outputs)


def _first_different(file: Opened, plan: Plan) -> str:
    """Returns the layer of the first operator that is missing or another one."""
    for i, operator in enumerate(plan.operators):
        if i >= len(file.operators) or file.operators[i].builtin != operator.builtin:
            return operator.layer
    return plan.operators[-1].layer if plan.operators else ""


def layer_of(plan: Plan, number: int) -> str:
    """Returns the layer that wrote the operator at a position of the file."""
    return plan.operators[number].layer if number < len(plan.operators) else "?"


def readers_of(plan: Plan, index: int) -> list[Operator]:
    """Returns the operators that read a tensor."""
    return [operator for operator in plan.operators if index in operator.inputs]
