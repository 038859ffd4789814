"""What the callbacks share."""

import keras

from kqat.core.checks import whole_number
from kqat.quantizers.find import Place, find


def places_of(model: keras.Model, user: str) -> list[Place]:
    """Returns the quantizers of a model.

    Args:
        model: The model.
        user: Who needs them, for the message.

    Raises:
        ValueError: The model has none, so that there is nothing to do.
    """
    places = find(model)
    if not places:
        raise ValueError(
            f"{user} acts on quantizers, and the model has none. Received: model {model.name!r}. "
            "Use it in the fit() of a model made by kqat.quantize(model)."
        )
    return places


def check_count(value, name: str) -> int:
    """Returns an epoch or step number.

    Raises:
        ValueError: It is not a whole number from 0 up.
    """
    count = whole_number(value)
    if count is None or count < 0:
        raise ValueError(
            f"`{name}` counts epochs or steps from 0. Received: {name}={value!r}. "
            "Use a whole number from 0 up."
        )
    return count
