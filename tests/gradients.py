"""Gradients and compilation under whatever backend Keras runs on."""

import keras
import numpy as np
from keras import ops


def gradient(function, *args, upstream=None):
    """Returns d(sum(upstream * function(*args)))/d(arg) for every argument, as NumPy arrays."""
    args = [np.asarray(arg, "float32") for arg in args]

    def loss(*tensors):
        y = function(*tensors)
        return ops.sum(y if upstream is None else y * ops.convert_to_tensor(np.asarray(upstream, "float32")))

    return [np.asarray(ops.convert_to_numpy(one)) for one in _BACKENDS[keras.backend.backend()](loss, args)]


def _tensorflow(loss, args):
    import tensorflow as tf

    variables = [tf.Variable(arg) for arg in args]
    with tf.GradientTape() as tape:
        value = loss(*[tf.convert_to_tensor(variable) for variable in variables])
    return tape.gradient(value, variables, unconnected_gradients="zero")


def _jax(loss, args):
    import jax

    return jax.grad(loss, argnums=tuple(range(len(args))))(*[jax.numpy.asarray(arg) for arg in args])


def _torch(loss, args):
    import torch

    tensors = [torch.tensor(arg, requires_grad=True) for arg in args]
    loss(*tensors).backward()
    return [torch.zeros_like(one) if one.grad is None else one.grad for one in tensors]


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


def compiled(function):
    """Returns `function` compiled by the backend's compiler; unchanged on PyTorch, which runs eagerly."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function
