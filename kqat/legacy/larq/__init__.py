"""Binary networks of larq: made by rule from tf_keras models, and written for Larq Compute Engine."""

import sys

from kqat.core.errors import LegacyKerasError
from kqat.legacy import require_tf_keras

require_tf_keras()


def require_larq_in_time() -> None:
    """Raises where TensorFlow was loaded without the flag: larq then finds optimizers of Keras 3.

    Raises:
        LegacyKerasError: It was.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and not getattr(tensorflow, "_tf_uses_legacy_keras", True):
        raise LegacyKerasError(
            "larq can no longer be imported in this process. Received: TensorFlow, loaded before "
            "TF_USE_LEGACY_KERAS was set. Set TF_USE_LEGACY_KERAS=1 in the environment, or import "
            "kqat.legacy before keras and tensorflow."
        )


require_larq_in_time()
