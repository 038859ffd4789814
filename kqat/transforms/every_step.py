"""Opens `TimeDistributed`: the steps join the batch, the layer runs, and they leave the batch again."""

import keras
from keras import ops

from kqat.keras_private import reads_mask
from kqat.transforms.repeated import repeated


def record_steps(op, args, kwargs):
    """Returns a fresh symbolic input of a `TimeDistributed`, and what it makes of it.

    Args:
        op: Operation that was called.
        args: Positional arguments of the call.
        kwargs: Keyword arguments.

    Returns:
        `None` for any other operation, for a layer inside that treats every place alike anyway, and where
        sizes are not known or the layer inside reads the mask.
    """
    if not isinstance(op, keras.layers.TimeDistributed) or repeated(op) is not op:
        return None
    x = args[0] if args else kwargs["inputs"]
    masked = kwargs.get("mask") is not None and reads_mask(op.layer)
    if masked or None in x.shape[1:]:
        return None
    inputs = keras.Input(batch_shape=x.shape, dtype=x.dtype)
    y = op.layer(ops.reshape(inputs, (-1, *x.shape[2:])))
    if not isinstance(y, keras.KerasTensor) or None in y.shape[1:]:
        return None
    return inputs, ops.reshape(y, (-1, x.shape[1], *y.shape[1:]))
