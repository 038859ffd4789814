"""Methods of a model's class that its quantized form, a plain functional model, does not have."""

import keras

from kqat.lowering.inherited import is_users

# How Keras trains on any backend; some of these exist on one backend only, where others never call them.
_TRAINING = frozenset(
    (
        *("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics"),
        *("compute_loss_and_updates", "stateless_compute_loss", "make_train_function", "make_test_function"),
        *("make_predict_function", "compile", "fit", "evaluate", "predict", "train_on_batch"),
        *("test_on_batch", "predict_on_batch", "get_metrics_result", "reset_metrics", "metrics"),
    )
)
# What `quantize` reads of the class, and what is about building and storing it.
_KEPT = frozenset(
    (
        *("build", "call", "get_config", "from_config", "get_build_config", "build_from_config"),
        *("compute_mask", "compute_output_shape", "compute_output_spec", "count_params", "add_weight"),
        *("save_own_variables", "load_own_variables", "save_assets", "load_assets", "quantize", "name"),
        *("compile_from_config", "get_compile_config", "summary", "layers", "get_layer", "inputs", "outputs"),
        *("input", "output", "input_shape", "output_shape", "input_spec", "dtype", "supports_masking"),
    )
)


def lost_methods(model) -> list[str]:
    """Returns the methods of Keras that the class of a model, or the model itself, replaces, by name."""
    known = set(keras.Model.__mro__)
    own = [cls for cls in type(model).__mro__ if is_users(cls) and cls not in known]
    names = {name for cls in own for name in vars(cls)} | (_TRAINING & vars(model).keys())
    return sorted(name for name in names if name == "__call__" or _is_lost(name))


def _is_lost(name: str) -> bool:
    if name.startswith("_") or name in _KEPT:
        return False
    return name in _TRAINING or hasattr(keras.Model, name)


def explain_lost(model, names: list[str]) -> str:
    """Returns what is lost, and how to have it again."""
    cls = type(model).__name__
    return (
        f"The quantized form of model '{model.name}' is a plain functional model, without the methods that "
        f"class {cls} replaces: {', '.join(names)}. Training it uses Keras's own. To keep yours, write them "
        "in a subclass of keras.Model, make it around the quantized model, Trainer(q.inputs, q.outputs), and "
        "train that; it calibrates and exports like q itself."
    )


def explain_losses(names: list[str]) -> str:
    """Returns which models add losses in their call, and how to train with them."""
    listed = ", ".join(repr(name) for name in dict.fromkeys(names))
    return (
        f"The quantized model does not add the losses that the call of {listed} adds. Give them to compile, "
        "or add them in a layer of their own: layers that add losses keep them, and stay in float."
    )
