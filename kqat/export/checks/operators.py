"""The operators of the file are those of the program, in their order, with the versions that these need."""

from collections import Counter

from kqat.formats.tflite.opened import Opened, fail
from kqat.formats.tflite.versions import version_of
from kqat.program.program import Operation, Program


def check_operators(file: Opened, program: Program) -> None:
    """Compares kind, version and tensors of every operator, and first how often each kind occurs."""
    kinds = Counter(operator.builtin for operator in file.operators)
    planned = Counter(operator.builtin for operator in program.operations)
    if kinds != planned:
        wrong = {kind for kind in kinds | planned if kinds[kind] != planned[kind]}
        layers = dict.fromkeys(operator.layer for operator in program.operations if operator.builtin in wrong)
        fail(
            _first_different(file, program) or ", ".join(layers),
            "other operators",
            dict(planned),
            dict(kinds),
        )
    for operator, theirs in zip(program.operations, file.operators, strict=True):
        mine = operator.builtin, version_of(operator, program), operator.inputs, operator.outputs
        found = theirs.builtin, theirs.version, theirs.inputs, theirs.outputs
        if mine != found:
            fail(operator.layer, "another operator", mine, found)


def _first_different(file: Opened, program: Program) -> str:
    """Returns the layer of the first operator that is missing or another one."""
    for i, operator in enumerate(program.operations):
        if i >= len(file.operators) or file.operators[i].builtin != operator.builtin:
            return operator.layer
    return program.operations[-1].layer if program.operations else ""


def layer_of(program: Program, number: int) -> str:
    """Returns the layer that wrote the operator at a position of the file."""
    return program.operations[number].layer if number < len(program.operations) else "?"


def readers_of(program: Program, index: int) -> list[Operation]:
    """Returns the operators that read a tensor."""
    return [operator for operator in program.operations if index in operator.inputs]
