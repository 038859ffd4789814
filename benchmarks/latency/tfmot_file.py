"""Writes tfmot's `.tflite` of ResNet-20: `python -m benchmarks.latency.tfmot_file OUT`.

tfmot needs tf_keras in the place of Keras, and so a process of its own.
"""

import os
import pathlib
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from benchmarks.resnet import resnet20
from benchmarks.step_time.timing import Trainer


def main(path):
    """Trains a few steps, so that there are ranges, and converts."""
    model = tfmot.quantization.keras.quantize_model(resnet20(tf_keras))
    Trainer(tf_keras, model, batch=64)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    pathlib.Path(path).write_bytes(converter.convert())


if __name__ == "__main__":
    main(sys.argv[1])
