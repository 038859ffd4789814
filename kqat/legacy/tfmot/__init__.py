"""Quantization of tf_keras models by tfmot's own machinery, with widths, ranges and layers that it lacks."""

from kqat.legacy import require_tf_keras

require_tf_keras()
