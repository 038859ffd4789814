"""The configuration of a layer of one Keras version, as the other one takes it."""

import inspect

from kqat.core.errors import ConversionError

# Arguments that only one version has, with the value at which they change nothing.
_NEUTRAL = {
    "renorm": (False,), "sparse": (False,), "ragged": (False,), "time_major": (False,), "seed": None,
    "kernel_initializer": None, "query_shape": None, "key_shape": None, "value_shape": None, "groups": (1,),
    "softmax_robust_masking": (False,), "autocast": (True,), "implementation": None, "use_cudnn": None,
    "batch_input_shape": None,
    "renorm_clipping": None, "renorm_momentum": None, "fused": None, "zero_output_for_mask": None,
    "gate_weight": None, "input_length": None, "flash_attention": (False,), "value_range": None,
    "input_dim": None, "use_gate": (False,), "data_format": None,
    "pad_to_aspect_ratio": (False,), "antialias": (False,), "fill_mode": None, "fill_value": None,
    "rms_scaling": (False,), "build_config": None, "supports_masking": None,
}  # fmt: skip
_RENAMED = {("LeakyReLU", "alpha"): "negative_slope", ("LeakyReLU", "negative_slope"): "alpha"}
# Keras 3 took other formulas for these names, or added them; as operations they have that of their side.
CHANGED = {"hard_sigmoid": "HardSigmoid", "hard_silu": "HardSilu", "hard_swish": "HardSilu"}
_NESTED = ("layer", "backward_layer", "cell", "forward_layer")


def translate(kind: str, config: dict, target) -> dict:
    """Returns the configuration of a layer for the class of the same name in the other version.

    Args:
        kind: Name of the class.
        config: What `get_config` returned.
        target: The class to make.

    Raises:
        ConversionError: An argument is in use that the other version does not have.
    """
    known = _arguments(target)
    result = {}
    for key, value in config.items():
        name = _RENAMED.get((kind, key), key)
        name = name if name in known else key
        if name in known:
            result[name] = _value(kind, key, value)
        elif value is not None and (key not in _NEUTRAL or not _is_neutral(_NEUTRAL[key], value)):
            raise ConversionError(
                f"Layer '{config.get('name')}' ({kind}) cannot be converted. Received: {key}={value!r}, an "
                "argument that the other version of Keras does not have. Use its default."
            )
    return result


def _is_neutral(values, value) -> bool:
    return values is None or value in values


def _arguments(target) -> set[str]:
    """Returns every argument that a class takes, those that it hands on to its bases included."""
    names: set[str] = {"name", "dtype", "trainable"}
    for cls in target.__mro__:
        parameters = inspect.signature(cls.__init__).parameters.values()
        names.update(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names - {"self"}


def _value(kind: str, key: str, value):
    if key == "dtype" and isinstance(value, dict):
        return value["config"]["name"]
    if "activation" in key and value in CHANGED:
        raise ConversionError(
            f"A {kind} has an activation that the two versions of Keras define otherwise. Received: "
            f"{key}={value!r}. Use keras.ops for the formula that is meant."
        )
    if isinstance(value, dict) and key.endswith("_quantizer"):
        return {"class_name": value["class_name"], "config": value["config"]}  # None is a choice there
    if isinstance(value, dict) and "class_name" in value and key not in _NESTED:
        return {"class_name": value["class_name"], "config": _plain(value.get("config") or {})}
    if key == "axis" and isinstance(value, list | tuple) and len(value) == 1:
        return value[0]
    return value


def _plain(config: dict) -> dict:
    """Returns the configuration of an initializer, regularizer or constraint without objects inside."""
    return {key: value for key, value in config.items() if value is not None and key != "seed"}
