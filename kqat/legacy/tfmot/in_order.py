"""Keeps inputs in order: tfmot's transforms list the layers that they have replaced after all others.

`Concatenate()([relu, pool])`, the ReLU behind a BatchNormalization, becomes `Concatenate()([pool, relu])`,
and InceptionV3 another model.
"""

from contextlib import contextmanager
from importlib import import_module
from typing import Any

from kqat_runtime.optional import require

_quantization = (
    f"{require('tensorflow_model_optimization', extra='tfmot').__name__}.python.core.quantization.keras"
)
_Transformer: Any = import_module(f"{_quantization}.graph_transformations.model_transformer").ModelTransformer
_get_layers = _Transformer._get_layers


def _in_order(self, layer_names):
    found = _get_layers(self, layer_names)
    if not self._is_functional_model(self.model):
        return found
    names = list(layer_names)
    return sorted(found, key=lambda layer: names.index(layer["config"]["name"]))


@contextmanager
def inputs_in_order():
    """Returns a context in which the transforms of tfmot keep the order of a layer's inputs."""
    _Transformer._get_layers = _in_order
    try:
        yield
    finally:
        _Transformer._get_layers = _get_layers
