"""Whether what is known about a class holds for a subclass of it."""

from collections.abc import Container

import keras

from kqat.keras_private import is_of_applications

# Methods that a subclass may replace without changing what an instance computes.
_HARMLESS = frozenset(
    (
        *("build", "get_build_config", "build_from_config", "get_config", "from_config", "add_weight"),
        *("compute_output_shape", "compute_output_spec", "compute_mask", "count_params", "quantize"),
        *("save_own_variables", "load_own_variables", "save_assets", "load_assets"),
    )
)


def is_users(cls: type) -> bool:
    """Tells whether a class is neither Keras's nor kqat's, or one that `keras.applications` brings along."""
    own = cls.__module__.split(".")[0] in ("keras", "kqat")
    return not own or is_of_applications(cls)


def is_own_layer(op) -> bool:
    """Tells whether an operation is a layer that computes what its author wrote, not what Keras did.

    Models are none, and neither are subclasses of Keras's layers that leave the computation alone.
    """
    layer = isinstance(op, keras.layers.Layer) and not isinstance(op, keras.Model)
    return layer and computes_own(type(op))


def computes_own(cls: type) -> bool:
    """Tells whether a layer class computes something else than the class of Keras that it is derived from."""
    return is_users(cls) and changes(cls, next(base for base in cls.__mro__ if not is_users(base)))


def known_class(cls: type, known: Container[type]) -> type | None:
    """Returns the nearest class that is known, if what it computes is what `cls` computes, else `None`.

    Args:
        cls: Class of a layer.
        known: The classes that something is known about.
    """
    for base in cls.__mro__:
        if base in known:
            return None if changes(cls, base) else base
    return None


def changes(cls: type, base: type) -> bool:
    """Tells whether a class that is derived from `base` replaces part of what it computes.

    Of a user's class any method may; one of Keras's that has a `call` of its own counts as another layer.
    Those of kqat that are other layers are registered as such; a `Quant*` layer is the layer that it extends.
    """
    between = cls.__mro__[: cls.__mro__.index(base)]
    if any("call" in vars(one) for one in between if one.__module__.startswith("keras.")):
        return True
    replaced = {name for one in between if is_users(one) for name in vars(one)}
    return any(hasattr(base, name) for name in replaced if name == "__call__" or _counts(name))


def _counts(name: str) -> bool:
    return name not in _HARMLESS and not (name.startswith("__") and name.endswith("__"))
