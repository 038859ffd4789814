"""Quantization of tf_keras models by tfmot's own machinery, with widths, ranges and layers that it lacks."""

import warnings

from kqat.core.optional import require
from kqat.legacy import require_tf_keras

require_tf_keras()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # tfmot compares versions with distutils
    require("tensorflow_model_optimization", extra="tfmot")
