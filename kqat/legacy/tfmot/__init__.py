"""Quantization of tf_keras models by tfmot's own machinery, with widths, ranges and layers that it lacks."""

import warnings

from kqat.legacy import require_tf_keras
from kqat_runtime.optional import require

require_tf_keras()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # tfmot compares versions with distutils
    require("tensorflow_model_optimization", extra="tfmot")
