"""A softmax over the last axis, of which a mask leaves values out.

Forward: that of `probabilities`, a row without any value being all zeros.
"""

import keras

from kqat.lowering.probabilities import Probabilities


@keras.saving.register_keras_serializable(package="kqat")
class MaskedSoftmax(Probabilities):
    """`keras.layers.Softmax` over the last axis, called on values and a mask of as many dimensions.

    Forward: `y = softmax(x)` over the values that the mask keeps, 0 elsewhere
    """

    def __init__(self, **kwargs):
        super().__init__(1.0, masks=("attention",), empty=True, **kwargs)

    def as_operation(self, inputs):
        """Returns what Keras's own layer makes of values and a mask."""
        values, mask = inputs
        return keras.layers.Softmax()(values, mask)

    def get_config(self):
        """Returns the configuration."""
        return keras.layers.Layer.get_config(self)
