"""Which operations another process can make again from their Keras configuration."""

import keras

_KNOWN = ("keras", "kqat", "builtins", "numpy")


def portable(op) -> tuple[dict | None, str]:
    """Returns the configuration from which any process makes an operation again.

    Args:
        op: Layer or operation.

    Returns:
        The configuration and `""`; or `None` and why there is none.
    """
    try:
        config = keras.saving.serialize_keras_object(op)
    except Exception as error:  # get_config raises whatever its author likes; of a lambda, an OSError
        return None, f"it has no configuration ({_first_line(error)})"
    obstacle = _foreign(config)
    return (None, obstacle) if obstacle else (config, "")


def _foreign(config) -> str:
    """Returns what in a configuration only this process knows, `""` if nothing."""
    if isinstance(config, list | tuple):
        return next(filter(None, map(_foreign, config)), "")
    if not isinstance(config, dict):
        return ""
    kind = config.get("class_name")
    if kind == "__lambda__":
        return "another process cannot run a lambda"
    if isinstance(kind, str) and "config" in config and not _is_known(config):
        name = config["config"] if kind == "function" else kind
        return f"another process cannot import {name!r}"
    return next(filter(None, map(_foreign, config.values())), "")


def _is_known(config: dict) -> bool:
    module = config.get("module") or str(config.get("registered_name") or "keras").split(">")[0]
    return module.split(".")[0] in _KNOWN or module.startswith("__")  # such as "__tensor__"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:150]
