"""Call arguments with places for tensors, and how they are saved."""

from dataclasses import dataclass
from typing import Any

import keras

from kqat.lowering.base import Input


@dataclass(frozen=True)
class Placement:
    """How an operation is called, and what it was a part of. As one object, so that Keras tracks none of it.

    Attributes:
        template: Call arguments `(args, kwargs)`, `None` where the inputs are called as they come.
        origin: The layer that it is part of, if that was split; see `transforms.splitting`.
    """

    template: Any = None
    origin: dict | None = None


def plain_template(count: int):
    """Returns call arguments for `count` tensors as they come."""
    places = [Input(i) for i in range(count)]
    return ((places[0] if count == 1 else places),), {}


def shape_to_build(template, shapes):
    """Returns the shape, or structure of shapes, that a layer is built for: that of its first argument.

    Args:
        template: Call arguments, or `None` where the inputs are called as they come.
        shapes: Shape of the input, or a list of those of all inputs.
    """
    if template is None or not isinstance(shapes, list):
        return shapes
    first = (*template[0], *template[1].values())[0]
    return keras.tree.map_structure(lambda leaf: tuple(shapes[leaf.position]), first)


def template_to_config(template):
    """Returns a template in JSON form."""
    if template is None:
        return None
    save = keras.saving.serialize_keras_object
    mark = lambda x: {"input": x.position} if isinstance(x, Input) else {"value": save(x)}  # noqa: E731
    args, kwargs = keras.tree.map_structure(mark, template)
    return {"args": list(args), "kwargs": kwargs}


def template_from_config(config):
    """Returns the template that `template_to_config` described."""
    if config is None:
        return None
    args, kwargs = (
        tuple(_unmark(x) for x in config["args"]),
        {k: _unmark(v) for k, v in config["kwargs"].items()},
    )
    return args, kwargs


def _unmark(x):
    if isinstance(x, dict) and set(x) == {"input"}:
        return Input(x["input"])
    if isinstance(x, dict) and set(x) == {"value"}:
        return keras.saving.deserialize_keras_object(x["value"])
    if isinstance(x, list | tuple):
        return type(x)(_unmark(item) for item in x)
    return {key: _unmark(value) for key, value in x.items()}
