"""From the backend to NumPy."""

import keras
import numpy as np

from kqat.core.types import Tensor


def as_numpy(x: Tensor) -> np.ndarray:
    """Returns a tensor, a variable, or what NumPy makes an array of, as a NumPy array.

    On JAX, Keras's own function asks a variable for its `__array__`, which lacks an argument that NumPy 2
    passes, and NumPy warns; its value has none of that. On TensorFlow it knows replicas, a value does not.
    """
    jax = keras.backend.backend() == "jax"
    return keras.ops.convert_to_numpy(x.value if jax and isinstance(x, keras.Variable) else x)
