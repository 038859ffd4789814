"""Reads the JSON form of a plan, and says which entry is not what it should be."""

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from typing import Any

from kqat.core.checks import whole_number
from kqat.core.errors import PlanError
from kqat.core.spec import LayerPlan, TensorPlan, WeightPlan


def loads(json_text: str) -> Any:
    """Returns JSON data from a text.

    Raises:
        PlanError: It is no JSON.
    """
    try:
        return json.loads(json_text)
    except (ValueError, RecursionError) as error:
        raise PlanError(
            f"This is not a plan: it is no JSON ({error}). Received: {json_text[:60]!r}. Use Plan.to_json(), "
            "a list of rules, or the path of a .json file with one of these."
        ) from error


def read_layers(data: Any) -> tuple[LayerPlan, ...]:
    """Returns the plans of all layers from their JSON form.

    Raises:
        PlanError: An entry is missing, unknown or of a wrong type.
    """
    layers = tuple(_layer(one, f"layers.{i}") for i, one in enumerate(_list(data, "layers")))
    paths = [layer.path for layer in layers]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise PlanError(
            f"A plan has one entry for each layer. Received: several for {twice[:5]}. Use plan()."
        )
    return layers


def read_texts(data: Any, where: str) -> tuple[str, ...]:
    """Returns a list of texts as a tuple."""
    return tuple(text(one, f"{where}.{i}") for i, one in enumerate(_list(data, where)))


def entries(data: Any, known: Iterable[str], where: str, required: Iterable[str] = ()) -> dict:
    """Returns `data` if it is an object with known keys.

    Args:
        data: What was read.
        known: Keys that it may have.
        where: What it is, for the message.
        required: Keys that it must have.

    Raises:
        PlanError: It is not.
    """
    known = list(known)
    if not isinstance(data, dict):
        raise _wrong(where, data, f"Plan.to_json(), there an object of {', '.join(known)}")
    odd = [*(key for key in data if key not in known), *(key for key in required if key not in data)]
    if odd:
        problem = "has an unknown entry" if odd[0] in data else "lacks an entry"
        raise PlanError(
            f"This is not a plan: {where} {problem}. Received: {odd[0]!r}. Use Plan.to_json(), there with "
            f"{', '.join(known)}."
        )
    return data


def text(value: Any, where: str) -> str:
    """Returns `value` if it is a text."""
    return value if isinstance(value, str) else _raise(where, value, "text")


def _layer(data: Any, where: str) -> LayerPlan:
    parts = {"weights": _weights, "output": _optional(_tensor), "reads": _reads, "inputs": _names}
    return _made(LayerPlan, data, where, parts)


def _weights(data: Any, where: str) -> dict[str, WeightPlan]:
    if not isinstance(data, dict):
        raise _wrong(where, data, "an object with an entry for each weight")
    return {name: _made(WeightPlan, one, f"{where}.{name}", {}) for name, one in data.items()}


def _reads(data: Any, where: str) -> tuple[TensorPlan | None, ...]:
    read = _optional(_tensor)
    return tuple(read(one, f"{where}.{i}") for i, one in enumerate(_list(data, where)))


def _names(data: Any, where: str) -> tuple[str | None, ...]:
    read = _optional(text)
    return tuple(read(one, f"{where}.{i}") for i, one in enumerate(_list(data, where)))


def _tensor(data: Any, where: str) -> TensorPlan:
    return _made(TensorPlan, data, where, {})


def _made(cls, data: Any, where: str, readers: dict[str, Callable]):
    """Returns a plan of class `cls`, each of its fields read by type."""
    required = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    data = entries(data, [f.name for f in fields(cls)], where, required)
    readers = {**_READERS, **readers}
    values = {name: readers[name](value, f"{where}.{name}") for name, value in data.items()}
    try:
        return cls(**values)
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from error


def _list(value: Any, where: str) -> list:
    return list(value) if isinstance(value, list | tuple) else _raise(where, value, "a list")


def _whole(value: Any, where: str) -> int:
    number = whole_number(value)
    return _raise(where, value, "a whole number") if number is None else number


def _real(value: Any, where: str) -> float:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return value if real else _raise(where, value, "a number")


def _truth(value: Any, where: str) -> bool:
    return value if isinstance(value, bool) else _raise(where, value, "true or false")


def _axes(value: Any, where: str) -> tuple[int, ...]:
    return tuple(_whole(one, where) for one in _list(value, where))


def _ends(value: Any, where: str) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _wrong(where, value, "a list of two numbers")
    return _real(value[0], where), _real(value[1], where)


def _optional(read: Callable) -> Callable:
    return lambda value, where: None if value is None else read(value, where)


def _wrong(where: str, value: Any, wanted: str) -> PlanError:
    return PlanError(f"This is not a plan: {where} is wrong. Received: {str(value)[:60]!r}. Use {wanted}.")


def _raise(where: str, value: Any, wanted: str):
    raise _wrong(where, value, wanted)


_READERS: dict[str, Callable] = {
    **dict.fromkeys(("path", "name", "kind", "mode", "reason", "quantizer", "cause", "file"), text),
    "into": _optional(text),
    "activation_replaced": _truth,
    "bits": _whole,
    "axis": _optional(_axes),
    "signed": _optional(_truth),
    "range": _optional(_ends),
}
