"""One side of the comparison: training, files and steps in one version of Keras."""

import statistics
import time
from importlib import import_module

import numpy as np

import kqat
from examples import mynet


def fitted(data, epochs: int):
    """Returns MyNet, trained in float with Keras 3."""
    import keras

    x, y = data
    model = mynet.build(x.shape[1:])
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)
    return model


class Side:
    """A float model in one version of Keras, and its quantized copies.

    Args:
        model: The float model.
        library: `"keras"` or `"tf_keras"`.
    """

    def __init__(self, model, library: str):
        self.model, self.framework = model, import_module(library)

    def compiled(self, bits):
        """Returns a copy with quantization of these widths, `None` for the float model, ready to train."""
        quantizer = "ema" if self.framework.__name__ == "keras" else "auto"
        q = self.model if bits is None else kqat.quantize(self.model, bits=bits, quantizer=quantizer)
        optimizer = self.framework.optimizers.Adam(1e-4)
        q.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return q

    def accuracy(self, test, model=None) -> float:
        """Returns the share of right answers on all test images."""
        x, y = test
        predicted = (model or self.model).predict(x, batch_size=256, verbose=0)
        return float(np.mean(np.argmax(predicted, -1) == y))

    def measured(self, bits, data, test, epochs: int) -> dict:
        """Returns accuracy, size and agreement of model and file after training at these widths."""
        x, y = data
        q = self.compiled(bits)
        q.fit(x, y, batch_size=64, epochs=epochs, verbose=2)
        export = kqat.export_tflite(q)
        report = kqat.verify(q, export, test)
        return {
            "model": self.accuracy(test, q),
            "file": report.accuracy,
            "agreement": report.top1_agreement,
            "lsb": report.max_lsb,
            "bytes": len(export.content),
        }

    def stepper(self, bits, data):
        """Returns a function that takes some training steps and returns the median of their seconds."""
        q, (x, y) = self.compiled(bits), (part[:64] for part in data)
        if bits is None:
            q = self.framework.models.clone_model(q) if hasattr(q, "get_layer") else q
            q.compile(self.framework.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")

        def steps(count: int) -> float:
            seconds = []
            for _ in range(count):
                start = time.perf_counter()
                q.train_on_batch(x, y)
                seconds.append(time.perf_counter() - start)
            return statistics.median(seconds)

        steps(5)  # compiles
        return steps
