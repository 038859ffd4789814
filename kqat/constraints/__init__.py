"""Constraints on latent weights.

Threads: may share an object; it holds numbers that nothing changes.
"""

from typing import Any

import keras

from kqat.constraints.weight_clip import WeightClip

__all__ = ["WeightClip", "get"]

NAMES = {"weight_clip": WeightClip, "WeightClip": WeightClip}


def get(identifier: Any) -> keras.constraints.Constraint | None:
    """Returns a constraint: one of kqat's by name or by larq's configuration of it, else what Keras returns.

    Args:
        identifier: Name, configuration, constraint or `None`.
    """
    if isinstance(identifier, str) and identifier in NAMES:
        return NAMES[identifier]()
    if isinstance(identifier, dict) and identifier.get("class_name") in NAMES:
        return NAMES[identifier["class_name"]](**identifier.get("config", {}))
    return keras.constraints.get(identifier)
