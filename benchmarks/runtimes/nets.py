"""The network of this benchmark, and its files."""

import numpy as np

NETS = ("W8A8", "W4A4", "W2A2", "float head", "W8A8, int8 ends")


def samples(count):
    """Returns random images."""
    return np.random.default_rng(1).normal(size=(count, 16, 16, 3)).astype("float32")


def model():
    """Returns a small residual network with random weights."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    y = layers.Conv2D(16, 1, name="pointwise")(y)
    x = layers.ReLU(name="sum_relu")(layers.Add(name="sum")([x, y]))
    x = layers.Conv2D(32, 3, strides=2, activation="relu", name="down")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(64, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(10, name="head")(x))


def files(names=NETS, count=64):
    """Yields name, file and input array of each net; codes where the file takes codes."""
    import kqat
    from kqat_runtime.running.runtime import Runtime

    x = samples(count)
    for name in names:
        bits = int(name[1]) if name[0] == "W" else 8
        exclude = ["head"] if name == "float head" else None
        q = kqat.quantize(model(), bits=bits, exclude=exclude)
        kqat.calibrate(q, x, verbose=0)
        content = kqat.export_tflite(q, io="int8" if "int8" in name else "float32").content
        with Runtime(content) as runtime:
            yield name, content, runtime.inputs[0].encode(x)
