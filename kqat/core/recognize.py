"""Tells models of tf_keras from others without importing it."""


def is_tf_keras(model) -> bool:
    """Tells whether an object is a model of tf_keras."""
    return any(
        cls.__module__.startswith("tf_keras.") and cls.__name__ == "Model" for cls in type(model).__mro__
    )
