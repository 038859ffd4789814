"""A product of two activations as a layer with a name of its own: the matrix products inside attention."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kqat")
class Product(keras.layers.Layer):
    """`einsum` of two tensors.

    Forward: `y = einsum(subscripts, a, b)`

    Args:
        subscripts: A batched matrix product, such as `"bqhd,bkhd->bhqk"`.
    """

    def __init__(self, subscripts, **kwargs):
        super().__init__(**kwargs)
        self.subscripts = subscripts
        self.supports_masking = True

    def call(self, inputs):
        """Returns the product of a list of two tensors."""
        return ops.einsum(self.subscripts, *inputs)

    def compute_mask(self, inputs, previous_mask):
        """Returns `None`: a mask of the operands is none of the product."""
        return None

    def get_config(self):
        return {**super().get_config(), "subscripts": self.subscripts}
