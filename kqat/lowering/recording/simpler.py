"""Recorded operations whose settings follow from sizes, said in operations that need fewer of them."""

import keras

from kqat.keras_private import maker_of


def simpler(operation, sizes: dict, args, outputs):
    """Returns an operation without settings that depend on sizes, where there is one that does the same."""
    kind = type(operation).__name__
    if kind == "Reshape" and "newshape" in sizes:
        wanted = [size if s == -1 else s for s, size in zip(sizes["newshape"], outputs[0].shape, strict=True)]
        if sum(not isinstance(size, int) for size in wanted) <= 1:
            shape = tuple(size if isinstance(size, int) else -1 for size in wanted)
            return type(operation)(shape), {}
    if kind == "Repeat" and "repeats" in sizes and isinstance(args[0], keras.KerasTensor):
        have, axis = args[0].shape, operation.axis
        if axis is not None and have[axis] == 1 and None not in have:
            sizes = {"shape": [sizes["repeats"] if i == axis % len(have) else n for i, n in enumerate(have)]}
            return maker_of(keras.ops.broadcast_to(keras.KerasTensor(have), have)), sizes
    if kind == "BroadcastTo" and "shape" in sizes and isinstance(args[0], keras.KerasTensor):
        have, want = args[0].shape, outputs[0].shape
        have = (1,) * (len(want) - len(have)) + tuple(have)
        if all(b is not None or a is None for a, b in zip(have, want, strict=True)):
            repeats = [1 if a == b else b for a, b in zip(have, want, strict=True)]
            tile = keras.ops.tile(keras.KerasTensor(args[0].shape), repeats)
            return maker_of(tile), {}
    return operation, sizes
