"""Keeps inputs in order: tfmot's transforms list the layers that they have replaced after all others.

`Concatenate()([relu, pool])`, the ReLU behind a BatchNormalization, becomes `Concatenate()([pool, relu])`,
and InceptionV3 another model.
"""

from contextlib import contextmanager

from kqat.core.optional import require

require("tensorflow_model_optimization", extra="tfmot")
from tensorflow_model_optimization.python.core.quantization.keras.graph_transformations import (  # noqa: E402
    model_transformer,
)

_ModelTransformer = model_transformer.ModelTransformer


class _InOrder(_ModelTransformer):
    def _get_layers(self, layer_names):
        found = super()._get_layers(layer_names)
        if not self._is_functional_model(self.model):
            return found
        names = list(layer_names)
        return sorted(found, key=lambda layer: names.index(layer["config"]["name"]))


@contextmanager
def inputs_in_order():
    """Returns a context in which the transforms of tfmot keep the order of a layer's inputs."""
    model_transformer.ModelTransformer = _InOrder
    try:
        yield
    finally:
        model_transformer.ModelTransformer = _ModelTransformer
