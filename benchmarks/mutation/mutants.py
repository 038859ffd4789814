"""Draws small faults, one change of one operator or number each, from source files."""

import dataclasses
import pathlib
import random

# Swaps that stay plausible code: any test finds what only raises a TypeError, as `a >> b` of floats does.
_ARITHMETIC = (
    "Add_Sub",
    "Sub_Add",
    "Mul_Div",
    "Div_Mul",
    "FloorDiv_Div",
    "FloorDiv_Mul",
    "Mod_FloorDiv",
    "Pow_Mul",
)
_COMPARISONS = (
    "Eq_NotEq",
    "NotEq_Eq",
    "Lt_LtE",
    "LtE_Lt",
    "Gt_GtE",
    "GtE_Gt",
    "Lt_Gt",
    "Gt_Lt",
    "Is_IsNot",
    "IsNot_Is",
)
OPERATORS = (
    *(f"ReplaceBinaryOperator_{name}" for name in _ARITHMETIC),
    *(f"ReplaceComparisonOperator_{name}" for name in _COMPARISONS),
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Not", "NumberReplacer"),
    "ZeroIterationForLoop",
)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One fault.

    Args:
        path: The file, relative to the root of the checkout.
        line: Where, from 1.
        operator: The name of cosmic-ray's operator.
        occurrence: Which of the places that the operator could change in the file, from 0.
    """

    path: str
    line: int
    operator: str
    occurrence: int

    @property
    def key(self):
        """What names the mutant among all."""
        return f"{self.path}:{self.line} {self.operator} {self.occurrence}"

    def code(self, root):
        """Returns the whole file with the fault in it."""
        from cosmic_ray.mutating import mutate_code  # pyright: ignore[reportMissingImports]

        return mutate_code((root / self.path).read_text(), _operator(self.operator), self.occurrence)


def draw(root, folder, count, seed):
    """Returns `count` mutants of the files under a folder, drawn without replacement from all of them."""
    found = [mutant for path in sorted((root / folder).rglob("*.py")) for mutant in _all(root, path)]
    return random.Random(seed).sample(found, min(count, len(found)))


def _all(root, path):
    from cosmic_ray.ast import get_ast  # pyright: ignore[reportMissingImports]

    relative = str(pathlib.Path(path).relative_to(root))
    tree = get_ast(path.read_text())
    found = []
    for name in OPERATORS:
        operator = _operator(name)
        spots = [place[0][0] for node in _nodes(tree) for place in operator.mutation_positions(node)]
        found += [Mutant(relative, line, name, number) for number, line in enumerate(spots)]
    return found


def _nodes(node):
    # The order in which cosmic-ray counts occurrences.
    yield node
    for child in getattr(node, "children", ()):
        yield from _nodes(child)


def _operator(name):
    from cosmic_ray.plugins import get_operator  # pyright: ignore[reportMissingImports]

    return get_operator(f"core/{name}")()
