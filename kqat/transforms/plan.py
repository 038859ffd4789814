"""Decides for every layer and tensor how it is quantized, and says why."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import keras

from kqat.core.errors import PlanError
from kqat.core.families import check_family
from kqat.core.plan_bits import with_widths
from kqat.core.plan_json import entries, loads, read_layers, read_texts, text
from kqat.core.rules import Subject, check_all_match, first_match, matches
from kqat.core.spec import Bits, LayerPlan, Pattern, Rule, TensorPlan, check_bits
from kqat.core.table import Tabular, TextTable
from kqat.transforms.collecting import is_concatenation

_RULE_ENTRIES = (*(f.name for f in fields(Rule)), "bits")


@dataclass(frozen=True)
class Plan(Tabular):
    """What happens to each layer of a model; printable, JSON-serializable, usable as a recipe.

    Args:
        model: Name of the model.
        layers: Plans of the inputs and layers, in execution order.
        notes: What else should be known before training, such as sizes that a file needs.

    Threads: may share it; nothing changes it.

    Example:
        >>> import keras, kqat
        >>> plan = kqat.plan(keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")]))
        >>> plan["head"].file
        'integer'
    """

    model: str
    layers: tuple[LayerPlan, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self):
        return iter(self.layers)

    def __getitem__(self, path: str) -> LayerPlan:
        for layer in self.layers:
            if path in (layer.path, layer.name):
                return layer
        raise KeyError(path)

    @property
    def float_layers(self) -> list[LayerPlan]:
        """Layers that stay in float."""
        return [layer for layer in self.layers if layer.mode == "float"]

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """By the name of each grid, the layers and inputs whose outputs lie on it: they share its range."""
        found: dict[str, tuple[str, ...]] = {}
        for layer in self:
            if layer.output is not None:
                found[layer.output.name] = (*found.get(layer.output.name, ()), layer.path)
        return found

    def with_bits(
        self, match: str | Sequence[str], weights: int | None = None, inputs: int | None = None
    ) -> "Plan":
        """Returns the plan with other widths for some of the layers with weights.

        What is stored keeps its width: a layer that is to read fewer bits has its input requantized.

        Args:
            match: Name, path or glob, or a list of them, as in `exclude`.
            weights: Width of the weights; `None` leaves it.
            inputs: Width at which the layers read their inputs; `None` leaves it.

        Raises:
            UnmatchedPatternError: A pattern names no quantized layer with weights.
            PlanError: A width is out of range, or an input is stored with fewer bits.

        Example:
            >>> import keras, kqat
            >>> layers = [keras.Input((8,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(2)]
            >>> net = keras.Sequential(layers)
            >>> plan = kqat.plan(net).with_bits("a", weights=4, inputs=4)
            >>> plan["a"].weights["kernel"].bits, plan["a"].reads[0].bits
            (4, 4)
        """
        patterns: list[Pattern] = [match] if isinstance(match, str) else list(match)
        subjects = [
            Subject(layer.path, layer) for layer in self if layer.mode == "quantized" and layer.weights
        ]
        check_all_match(patterns, subjects, "match")
        chosen = {s.path for s in subjects if any(matches(pattern, s) for pattern in patterns)}
        return replace(self, layers=with_widths(self.layers, chosen, weights, inputs))

    def to_json(self, indent: int | None = 2) -> str:
        """Returns the plan as JSON text."""
        data = {
            "model": self.model,
            "layers": [layer.to_dict() for layer in self.layers],
            "notes": list(self.notes),
        }
        return json.dumps(data, indent=indent)

    @classmethod
    def from_json(cls, json_text: str) -> "Plan":
        """Returns the plan that `to_json` wrote.

        Raises:
            PlanError: The text is not a plan.
        """
        return cls.from_data(loads(json_text))

    @classmethod
    def from_data(cls, data) -> "Plan":
        """Returns the plan in JSON data.

        Raises:
            PlanError: The data is not a plan.
        """
        data = entries(data, ("model", "layers", "notes"), "it", ("model", "layers"))
        layers = read_layers(data["layers"])
        return cls(text(data["model"], "model"), layers, read_texts(data.get("notes", []), "notes"))

    def check(self) -> None:
        """Checks that the entries, which may have been edited, agree with each other.

        Raises:
            PlanError: They do not.
        """
        modes = {layer.path: layer.mode for layer in self}
        grids: dict[str, TensorPlan] = {}
        for layer in self:
            if layer.mode == "fused" and modes.get(layer.into or "") != "quantized":
                raise PlanError(
                    f"Layer '{layer.path}' is fused into a layer that is not quantized. Received: "
                    f"into={layer.into!r}, which is {modes.get(layer.into or '', 'not in the plan')}. "
                    "Set the mode of both to 'float'."
                )
            for grid in (layer.output, *layer.reads):
                if grid is not None and grids.setdefault(grid.name, grid) != grid:
                    raise PlanError(
                        f"One grid is described in two ways. Received: {grids[grid.name]} and {grid}. "
                        f"Tensors that share the name {grid.name!r} share one grid: edit every entry."
                    )

    def table(self) -> TextTable:
        """Returns the plan as a table, the notes below it."""
        columns = ("layer", "type", "mode", "reads", "weights", "output", "file", "why")
        return TextTable(
            columns, [_row(layer) for layer in self], footer=[f"note: {note}" for note in self.notes]
        )


def _row(layer: LayerPlan):
    weights = ", ".join(f"{w.bits} bits {w.quantizer}" for w in layer.weights.values())
    reads = ", ".join(dict.fromkeys(map(_text, filter(None, layer.reads))))
    return layer.path, layer.kind, layer.mode, reads, weights, _text(layer.output), layer.file, layer.reason


def _text(grid: TensorPlan | None) -> str:
    return f"{grid.bits} bits {grid.quantizer}" if grid else ""


@dataclass(frozen=True)
class Settings:
    """The arguments of `quantize`, checked.

    Args:
        bits: Default widths.
        stream_bits: Width of the tensors that no weighted layer reads, or not it alone.
        boundary_bits: Width of the model's inputs and outputs and of the first and last weighted layer.
        rules: Rules in order of precedence, exclusions included.
        quantizer: Default quantizer family.
        only: Patterns of `include`; empty means everything.
        patterns: Every pattern that must match, with the argument that it came in.
        strict: Whether a layer left in float by lack of support is an error.
    """

    bits: Bits
    stream_bits: int = 8
    boundary_bits: int = 8
    rules: tuple[Rule, ...] = ()
    quantizer: str = "auto"
    only: tuple[Pattern, ...] = ()
    patterns: tuple[tuple[Pattern, str], ...] = field(default=())
    strict: bool = False

    def rule_for(self, node) -> Rule | None:
        """Returns the rule that decides on a node."""
        return first_match(list(self.rules), Subject(node.path, node.op))

    def excluded(self, node) -> str | None:
        """Returns why a node stays float by the user's wish, or `None`."""
        subject = Subject(node.path, node.op)
        rule = first_match(list(self.rules), subject)
        if rule is not None and not rule.quantize:
            return "excluded by rule"
        if self.only and first_match([Rule(p) for p in self.only], subject) is None:
            return "not in include"
        return None


def settings(
    bits: Any = 8,
    *,
    weight_bits=None,
    activation_bits=None,
    stream_bits=8,
    boundary_bits=8,
    include=None,
    exclude=None,
    quantizer="auto",
    recipe=None,
    strict=False,
) -> Settings:
    """Returns the checked form of the arguments of `quantize`.

    Raises:
        PlanError: An argument is not what it should be.
    """
    rules = [_rule(item) for item in (recipe or [])]
    excluded, included = _patterns(exclude, "exclude"), _patterns(include, "include")
    named = [(rule.match, "recipe") for rule in rules]
    named += [(p, "exclude") for p in excluded] + [(p, "include") for p in included]
    return Settings(
        bits=Bits.of(bits, weight_bits, activation_bits),
        stream_bits=check_bits(stream_bits, "stream_bits"),
        boundary_bits=check_bits(boundary_bits, "boundary_bits"),
        rules=(*(Rule(p, quantize=False) for p in excluded), *rules),
        quantizer=check_family(quantizer),
        only=tuple(included),
        patterns=tuple(named),
        strict=strict,
    )


def _patterns(value: Any, what) -> list[Pattern]:
    if value is None:
        return []
    if isinstance(value, str | type):
        return [value]
    if callable(value) or isinstance(value, re.Pattern):
        return [value]  # type: ignore[list-item]  # a predicate
    if isinstance(value, list | tuple | set):
        return list(value)
    raise PlanError(f"{what} is a list of patterns. Received: {what}={value!r}. Use for example ['head'].")


def _rule(item) -> Rule:
    if isinstance(item, Rule):
        return item
    if not isinstance(item, dict) or "match" not in item:
        raise PlanError(
            f"A rule says which layers it is for, under 'match'. Received: {item!r}. Use for example "
            "{'match': 'conv*', 'bits': 4}."
        )
    item = dict(item)
    odd = [key for key in item if key not in _RULE_ENTRIES]
    if odd:
        raise PlanError(
            f"Unknown entry in a rule. Received: {odd[0]!r} in {item!r}. Use {', '.join(_RULE_ENTRIES)}."
        )
    if "bits" in item:
        widths = Bits.of(item.pop("bits"))
        item = {"weight_bits": widths.weights, "input_bits": widths.activations, **item}
    return Rule(**item)


def check_strict(plan: Plan) -> None:
    """Checks that every layer is quantized as far as the user wants, and that kqat can write it.

    Raises:
        PlanError: One is not.
    """
    wanted = {"excluded": ("nothing",)}  # who excludes a layer does without kqat's own arithmetic
    unwritten = ("converter", "nothing")
    bad = [p for p in plan if p.cause == "unsupported" or p.file in wanted.get(p.cause, unwritten)]
    if bad:
        listed = "; ".join(f"{p.path} ({p.kind}): {p.reason}" for p in bad)
        raise PlanError(
            f"strict=True, and {len(bad)} layers stay float, or kqat cannot write them. Received: {listed}. "
            "Exclude those that may stay float, replace the others, or use strict=False."
        )


def check_patterns(config: Settings, nodes) -> None:
    """Checks that every pattern names a layer of the model.

    Raises:
        UnmatchedPatternError: One does not.
    """
    subjects = [Subject(node.path, node.op) for node in nodes]
    for pattern, what in config.patterns:
        check_all_match([pattern], subjects, what)
    for rule in config.rules:
        if rule.share is not None:
            _require_concatenations(rule, subjects)


def _require_concatenations(rule: Rule, subjects) -> None:
    named = [s.path for s in subjects if matches(rule.match, s) and not is_concatenation(s.layer)]
    if named:
        raise PlanError(
            f"`share` is a choice that concatenations have. Received: share={rule.share} for {named[:5]}. "
            "Use a rule that matches concatenations only."
        )


def kind_of(op: keras.Operation) -> str:
    """Returns the class name of a layer, or `ops.<Name>` for an operation."""
    return type(op).__name__ if isinstance(op, keras.layers.Layer) else f"ops.{type(op).__name__}"
