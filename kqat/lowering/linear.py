"""A product of a tensor with a matrix that a custom layer holds: a Dense without bias."""

import keras


@keras.saving.register_keras_serializable(package="kqat")
class Linear(keras.layers.Dense):
    """`matmul(x, kernel)`.

    Args:
        units: Columns of the kernel.
    """

    def __init__(self, units, **kwargs):
        kwargs.setdefault("use_bias", False)
        super().__init__(units, **kwargs)
        self.matrix = None

    def hold(self, variables) -> "Linear":
        """Takes a variable that exists already for its kernel, shared with its owner."""
        (self.matrix,) = variables
        self.bias = None
        self.built = True
        return self

    def build(self, input_shape):
        """Creates the kernel, `(features, units)`."""
        self.matrix = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.units), initializer="glorot_uniform"
        )
        self.bias = None
        self.built = True

    @property
    def kernel(self):
        """The matrix."""
        return self.matrix

    # Dense stores its kernel under conditions of its own.

    def save_own_variables(self, store):
        """Stores the kernel."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        """Loads the kernel."""
        keras.layers.Layer.load_own_variables(self, store)
