"""The lane for models of `tf_keras`, as tfmot and Larq need them.

Importing it loads no framework; it has `tf.keras` mean `tf_keras`, as those libraries expect.
"""

import os
import sys
from importlib import import_module

from kqat.core.errors import LegacyKerasError

_FLAG = "TF_USE_LEGACY_KERAS"


def require_tf_keras() -> None:
    """Has `tf.keras` mean `tf_keras` in this process.

    Raises:
        LegacyKerasError: TensorFlow has resolved `tf.keras` to Keras 3 already.
    """
    os.environ[_FLAG] = "1"
    tensorflow = sys.modules.get("tensorflow")  # which resolves the name at its first use
    if tensorflow is None or getattr(tensorflow, "_tf_uses_legacy_keras", False):
        return
    if not tensorflow.keras.__name__.startswith("tf_keras"):
        raise LegacyKerasError(
            "TensorFlow already takes Keras 3 for tf.keras in this process, so tfmot and Larq would refuse "
            f"their models. Received: an earlier use of it. Set {_FLAG}=1 in the environment, or import "
            "kqat.legacy first."
        )


require_tf_keras()


def __getattr__(name):
    """Loads a public name at its first use."""
    homes = {"load_model": "kqat.legacy.saving", "fake_quant": "kqat.legacy.operators"}
    if name in homes:
        return getattr(import_module(homes[name]), name)
    raise AttributeError(f"module 'kqat.legacy' has no attribute {name!r}. Public names: {', '.join(homes)}.")
