"""What the layers with quantizers chosen by hand have in common."""

from collections.abc import Sequence
from contextvars import ContextVar
from threading import Lock
from typing import Any
from weakref import WeakSet

import keras

from kqat import constraints, quantizers
from kqat.core.types import Shape
from kqat.layers.substitute import call_with
from kqat.ops.arrays import as_numpy
from kqat.quantizers.base import QuantizerLike

# Every layer whose weights exist, for looking at all of them at once.
_BUILT: WeakSet = WeakSet()
_BUILT_LOCK = Lock()
# What weights count where a layer does not say it; see `kqat.context.metrics_scope`.
METRICS: ContextVar[tuple[str, ...]] = ContextVar("metrics", default=())


def built_layers() -> list:
    """Returns every layer with quantizers chosen by hand whose weights exist."""
    with _BUILT_LOCK:
        return list(_BUILT)


class ManualQuantization(keras.layers.Layer):
    """What the `Quant*` layers add to the Keras layer that they extend.

    Forward: `layer(input_quantizer(x))` with `kernel_quantizer(kernel)` in place of the kernel.

    Args:
        *args: Arguments of the Keras layer.
        kernel_quantizer: Name, configuration or object; `None` leaves the kernel in float.
        depthwise_quantizer: In its place, for the depthwise kernel of separable layers.
        pointwise_quantizer: In its place, for their pointwise kernel.
        input_quantizer: Likewise for the input.
        bits: Width of quantizers given by name that have a choice, 1 to 16.
        metrics: `["flip_ratio"]` for the weights, where their quantizer has it; by default those of
            `kqat.context.metrics_scope`.
        **kwargs: Keyword arguments of the Keras layer. A constraint may be `"weight_clip"`, an activation the
            name of a quantizer or a quantizer, whose name means nothing to other layers.

    Raises:
        ValueError: A quantizer is for a weight that the layer does not have.
    """

    float_class: type[keras.layers.Layer]
    weight_axes: dict[str, tuple[int, ...]] = {"kernel": (-1,)}

    def __init__(
        self,
        *args: Any,
        kernel_quantizer: QuantizerLike = None,
        depthwise_quantizer: QuantizerLike = None,
        pointwise_quantizer: QuantizerLike = None,
        input_quantizer: QuantizerLike = None,
        bits: int = 8,
        metrics: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        chosen = {
            "kernel_quantizer": kernel_quantizer,
            "depthwise_quantizer": depthwise_quantizer,
            "pointwise_quantizer": pointwise_quantizer,
        }
        self._check_names(chosen)
        for key in [key for key in kwargs if key.endswith("_constraint")]:
            kwargs[key] = constraints.get(kwargs[key])
        if isinstance(kwargs.get("activation"), str) and kwargs["activation"] in quantizers.NAMES:
            kwargs["activation"] = quantizers.get(kwargs["activation"], bits=bits)
        super().__init__(*args, **kwargs)
        for name, axes in self.weight_axes.items():
            settings = {"bits": bits, "axis": axes, "signed": True, "narrow_range": True}
            quantizer = quantizers.get(chosen[quantizer_of(name)], **settings)
            setattr(
                self, quantizer_of(name), _counting(quantizer, METRICS.get() if metrics is None else metrics)
            )
        self.input_quantizer = quantizers.get(input_quantizer, bits=bits)

    @property
    def weight_quantizers(self) -> dict[str, Any]:
        """The quantizers of the weights that have one, by the attribute of the weight."""
        found = {name: getattr(self, quantizer_of(name)) for name in self.weight_axes}
        return {name: quantizer for name, quantizer in found.items() if quantizer is not None}

    @property
    def activation_quantizer(self) -> quantizers.Quantizer | None:
        """The activation, if it is a quantizer."""
        activation = getattr(self, "activation", None)
        return activation if isinstance(activation, quantizers.Quantizer) else None

    def build(self, input_shape: Shape) -> None:
        """Creates the layer's weights and the quantizers' state."""
        super().build(input_shape)
        for name, quantizer in self.weight_quantizers.items():
            weight = getattr(self, name)
            if not quantizer.built:
                quantizer.build(tuple(weight.shape))
            if not quantizer.is_calibrated:
                quantizer.initialize(as_numpy(weight))
            weight.precision = quantizer.bits  # by which an optimizer knows binary weights
        if self.input_quantizer is not None and not self.input_quantizer.built:
            self.input_quantizer.build(tuple(input_shape))
        if self.activation_quantizer is not None and not self.activation_quantizer.built:
            self.activation_quantizer.build(tuple(self.compute_output_shape(input_shape)))
        with _BUILT_LOCK:
            _BUILT.add(self)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns the layer's output on quantized inputs and weights."""
        if self.input_quantizer is not None:
            inputs = self.input_quantizer(inputs, training=training)
        weights = [(getattr(self, name), quantizer) for name, quantizer in self.weight_quantizers.items()]
        if not weights:
            return super().call(inputs)
        pairs = [(v, q(keras.ops.convert_to_tensor(v), training=training)) for v, q in weights]
        return call_with(super().call, self, pairs, inputs)

    def float_weights(self) -> list:
        """Returns the variables that the Keras class has too, in its order."""
        others = (self.input_quantizer, self.activation_quantizer)
        owned = [q for q in (*self.weight_quantizers.values(), *others) if q is not None]
        state = {id(variable) for quantizer in owned for variable in quantizer.variables}
        return [variable for variable in self.variables if id(variable) not in state]

    def to_float_layer(self) -> keras.layers.Layer:
        """Returns a fresh layer of the Keras class without quantizers and clipping."""
        added = {*map(quantizer_of, self.weight_axes), "input_quantizer", "pad_values"}
        config = {key: value for key, value in self.get_config().items() if key not in added}
        for key in [key for key in config if key.endswith("_constraint")]:
            if isinstance(getattr(self, key), constraints.WeightClip):
                config[key] = None
        if self.activation_quantizer is not None:
            config["activation"] = None
        return self.float_class.from_config(config)

    def _check_names(self, chosen: dict) -> None:
        known = [quantizer_of(name) for name in self.weight_axes]
        wrong = [key for key, value in chosen.items() if value is not None and key not in known]
        if wrong:
            raise ValueError(
                f"{type(self).__name__} has no such weight. Received: {', '.join(wrong)}. Use "
                f"{', '.join(known)}."
            )

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, quantizers included."""
        names = ("input_quantizer", *map(quantizer_of, self.weight_axes))
        return {
            **super().get_config(),
            **{name: quantizers.serialize(getattr(self, name)) for name in names},
        }


def _counting(quantizer, metrics):
    """Returns a quantizer that counts what is asked for, unless it was told already."""
    if metrics and isinstance(quantizer, quantizers.Estimator) and not quantizer.quantizer_metrics:
        quantizer.count(metrics)
    return quantizer


def quantizer_of(weight: str) -> str:
    """Returns the name of the quantizer for a weight: `"kernel_quantizer"`, `"depthwise_quantizer"`."""
    return f"{weight.removesuffix('_kernel')}_quantizer"
