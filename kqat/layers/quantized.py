"""The wrapper that makes one layer of a model quantized: its training form and its integer form."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import keras
from keras import ops

from kqat import quantizers
from kqat.core.types import Shape
from kqat.layers.batchnorm import normalize
from kqat.layers.deployed_forward import DeployedForward, first_output, frozen_flag
from kqat.layers.drift import Drift, without_activation
from kqat.layers.integer_weights import integer_weights, real_weights
from kqat.layers.saved_form import loaded_form, saved_form
from kqat.layers.substitute import call_with
from kqat.layers.template import Placement, plain_template, shape_to_build
from kqat.layers.wiring import Grids
from kqat.lowering.activations.names import clamp_of
from kqat.lowering.arithmetic.accumulator import exact_forward
from kqat.lowering.base import Input, Step, Weights
from kqat.lowering.float_body import FloatBody
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.recording.projections import known_output_spec
from kqat.lowering.registry import lowering_for, needed_grids, prepare
from kqat.lowering.treatment import is_a


@keras.saving.register_keras_serializable(package="kqat")
class Quantized(keras.layers.Layer):
    """One operation with quantized weights, and the BatchNorm and ReLU that the runtime computes with it.

    In training the wrapped layer runs on fake-quantized weights. In inference, where the quantizers
    around it and an integer kernel are known, it computes what the runtime will: integer arithmetic on
    folded weights. Whether an activation is quantized is up to the `FakeQuant` that follows.

    Args:
        operation: Layer, or `keras.ops` operation, to run.
        weight_quantizers: Quantizer of each weight, by attribute name (`"kernel"`).
        batchnorm: `BatchNormalization` computed together with the operation.
        activation: ReLU layer or operation computed together with the operation.
        template: Call arguments `(args, kwargs)`, with `Input(i)` for the i-th tensor; by default the
            inputs as they come.
        origin: Where the wrapped layer came from, if it is part of a layer that was split in two.
        activation_replaced: Whether the activation, its own or `activation`, is left out, because signs are
            made of what comes before it. `strip_fake_quant` puts it back.
        grids: Names of the `FakeQuant` layers around, as saved; by default those that the first call finds.
    """

    def __init__(
        self,
        operation: keras.Operation,
        weight_quantizers: Mapping[str, Any] | None = None,
        batchnorm: keras.layers.BatchNormalization | None = None,
        activation: keras.Operation | None = None,
        template: tuple | None = None,
        origin: dict | None = None,
        activation_replaced: bool = False,
        grids: dict | None = None,
        **kwargs: Any,
    ):
        kwargs.setdefault("name", operation.name)
        # Float32, so that weights are read as they are. The wrapped layers keep the policy of the user.
        super().__init__(autocast=False, **{**kwargs, "dtype": "float32"})
        self.operation = operation
        self.supports_masking = getattr(operation, "supports_masking", False)
        self.weight_quantizers = {k: quantizers.get(v) for k, v in (weight_quantizers or {}).items()}
        self.batchnorm = batchnorm
        self.activation = activation
        self.activation_replaced = bool(activation_replaced)
        self._placement = Placement(template, origin)
        self._grids = Grids(grids)
        self._look = self._look_before = None
        self.deployed = DeployedForward()
        self.mean_drift = self.variance_drift = None
        self.observing = False  # while ranges are observed, the layer runs in float
        self.simulating = False  # while roundings are learned, inference has gradients

    # Building a model.

    def connect_output(self, fake_quant: Any, is_next: bool) -> None:
        """Notes the `FakeQuant` that rounds this layer's output, and whether it comes right behind it."""
        self._grids.connect_output(fake_quant, is_next)

    def build(self, input_shape: Shape) -> None:
        """Creates the weights of the wrapped layers and the state of their quantizers."""
        if isinstance(self.operation, keras.layers.Layer) and not self.operation.built:
            self.operation.build(shape_to_build(self._placement.template, input_shape))
        if self.batchnorm is not None and not self.batchnorm.built:
            self.batchnorm.build(self.operation.compute_output_shape(input_shape))
        for name, quantizer in self.weight_quantizers.items():
            if not quantizer.built:
                quantizer.build(tuple(attrgetter(name)(self.operation).shape))
        if self.norm_layer() is not None:
            self.batchnorm_frozen = self.add_weight(
                shape=(), initializer="zeros", trainable=False, dtype="float32", name="batchnorm_frozen"
            )
        self._build_drift()
        self.built = True

    def _build_drift(self):
        bias = getattr(self.operation, "bias", None)
        fixed = self.batchnorm is None and len(getattr(bias, "shape", ())) != 1
        if fixed or not self.weight_quantizers or is_own_layer(self.operation):
            return
        shape = bias.shape if self.batchnorm is None else self.batchnorm.moving_mean.shape
        settings = {"shape": tuple(shape), "initializer": "zeros", "trainable": False, "dtype": "float32"}
        settings |= {"autocast": False, "aggregation": "mean"}
        self.mean_drift = self.add_weight(name="mean_drift", **settings)
        if self.batchnorm is not None:
            self.variance_drift = self.add_weight(name="variance_drift", **settings)

    def compute_output_spec(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns the wrapped operation's output spec; where a model is built, also finds the grids."""
        self._grids.connect_inputs(keras.tree.flatten(inputs), *needed_grids(self.operation))
        args, kwargs = self.arguments(inputs)
        prepare(self.operation, args, kwargs)
        return known_output_spec(self.operation, args, kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Returns the mask that the wrapped layer gives to its output, `None` if it ends there."""
        return self.operation.compute_mask(inputs, previous_mask) if self.supports_masking else None

    # Computing.

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns the output of the operation.

        Args:
            inputs: Tensors as the wrapped layer takes them; a flat list where there is a `template`.
            training: Whether to compute with batch statistics and trainable quantizers.
        """
        if self._look_before is not None:
            self._look_before(self, inputs)
        if self._look is not None:
            self._look(self, self._linear_output(inputs))
        if training or self.observing or self.simulating or not self.is_integer:
            output = self._simulate(inputs, training)
            if training and self.is_integer and self._grids.is_next:
                compute = lambda: first_output(self._compute(inputs))  # noqa: E731
                self.deployed.offer(first_output(output), frozen_flag(self), compute)
            if not training and not self.observing:
                self._grids.warn_if_lost(self.name)
            return output
        return self._compute(inputs)

    def _compute(self, inputs):
        """The integer form, which is what the runtime computes."""
        lowering, step, tensors = self.lowering, self.step(), keras.tree.flatten(inputs)
        if not self.weight_quantizers or not isinstance(step.weights, Weights) or self.storage == 16:
            return lowering.forward(step, *tensors)
        ((_, quantizer),) = self.weight_quantizers.items()
        input_bits = self._grids.inputs[0].quantizer.bits
        return exact_forward(lowering, step, tensors, quantizer.axis or (-1,), input_bits)

    @property
    def is_integer(self) -> bool:
        """Whether inference is computed on integers: every grid around the layer is known, and a kernel."""
        narrow = all(quantizer.bits <= 8 for quantizer in self.weight_quantizers.values())
        known = self._grids.is_complete and all(f.saturates for f in self._grids.around)
        kernel = self.lowering
        return known and narrow and kernel is not None and (kernel.makes_signs or not self.makes_signs)

    @property
    def makes_signs(self) -> bool:
        """Whether the output is -1 and 1."""
        return self._grids.makes_signs

    @property
    def reads_signs(self) -> bool:
        """Whether all inputs are -1 and 1."""
        return self._grids.reads_signs

    @property
    def storage(self) -> int:
        """Width of the integer type that the kernel works between, 8 or 16: what the widest tensor needs."""
        return 16 if any(f.quantizer.bits > 8 for f in self._grids.around) else 8

    @property
    def lowering(self):
        """The kernel, or `None` where there is none between tensors of these widths."""
        return lowering_for(self.operation, self.storage)

    def step(self) -> Step:
        """Returns the deployed form: folded integer weights and the grids around them, as tensors."""
        inputs = tuple(f.quantizer.grid() if f is not None else None for f in self._grids.inputs)
        output = self._grids.output.quantizer.grid() if self._grids.output is not None else None
        weights = None
        if isinstance(self.lowering, FloatBody):
            weights = real_weights(self)
        elif output is not None and inputs[0] is not None:
            weights = integer_weights(self, inputs[0].scale, output.scale)
        args, kwargs = self._placement.template or plain_template(len(inputs))
        return Step(self.operation, inputs, output, self.fused_activation, weights, tuple(args), dict(kwargs))

    @property
    def drift(self) -> Drift | None:
        """What quantization moves the output by; `None` where neither BatchNorm nor a bias can undo it."""
        return None if self.mean_drift is None else Drift(self.mean_drift, self.variance_drift)

    @property
    def drift_variables(self) -> list[keras.Variable]:
        """The variables of the drift: none, the mean's, or both."""
        return [v for v in (self.mean_drift, self.variance_drift) if v is not None]

    def watch_with(self, look: Callable | None) -> None:
        """Lets `look(self, output)` see what the operation puts out, before activation and correction.

        A drift that `look` sets takes effect in the same call. `None` ends it. Acts on eager calls only.
        """
        self._look = look

    def read_with(self, look: Callable | None) -> None:
        """Lets `look(self, inputs)` see what the layer reads; `None` ends it. Acts on eager calls only."""
        self._look_before = look

    @property
    def fused_activation(self) -> str:
        """`"linear"`, `"relu"` or `"relu6"`: what the operation clamps its output to; or `"sign"`."""
        return "sign" if self.makes_signs else clamp_of(self)

    @property
    def output_name(self) -> str:
        """Name of the output tensor in a file: that of the quantizer if it comes next."""
        return self._grids.output.name if self._grids.is_next else self.name

    @property
    def origin(self) -> dict | None:
        """The layer that this is part of, if it was split; see `transforms.split`."""
        return self._placement.origin

    # Methods, because Keras takes every layer that it finds in an attribute or property for a part to save.

    def layers_before(self) -> list:
        """Returns the quantized layers whose outputs this one reads."""
        return [maker for f in self._grids.inputs if f is not None for maker in f.makers()]

    def norm_layer(self):
        """Returns the BatchNorm to fold: the fused one, or the operation itself."""
        if is_a(self.operation, keras.layers.BatchNormalization):
            return self.operation
        return self.batchnorm

    def _simulate(self, inputs, training):
        """The wrapped layers on fake-quantized weights; while a range is observed, on float weights."""
        args, kwargs = self.arguments(inputs)
        bare = self.activation_replaced or self.makes_signs
        if self.operation is self.norm_layer():
            output = normalize(self.operation, inputs, training, self.batchnorm_frozen)
        else:
            with without_activation(self.operation if bare else None):
                output = self._operate(training, args, kwargs)
        if self.batchnorm is not None:
            drift = None if self.observing else self.drift
            output = normalize(self.batchnorm, output, training, self.batchnorm_frozen, drift)
        return output if self.activation is None or bare else self.activation(output)

    def _operate(self, training, args, kwargs):
        """The operation, before BatchNorm."""
        if self.observing or not self.weight_quantizers:
            return self.operation(*args, **kwargs)
        pairs = self._fake_weights(training)
        if self.batchnorm is None and self.mean_drift is not None:
            pairs.append((self.operation.bias, self.bias_tensor()))
        return call_with(self.operation, self.operation, pairs, *args, **kwargs)

    def _linear_output(self, inputs):
        """The operation on its own bias, without activation."""
        args, kwargs = self.arguments(inputs)
        pairs = [] if self.observing else self._fake_weights(training=False)
        with without_activation(self.operation):
            return call_with(self.operation, self.operation, pairs, *args, **kwargs)

    def bias_tensor(self):
        """The bias as a tensor, without BatchNorm less what quantization adds to it; `None` if none."""
        bias = getattr(self.operation, "bias", None)
        free = bias is None or self.batchnorm is not None or self.mean_drift is None
        return bias if free else ops.subtract(bias, self.mean_drift)

    def _fake_weights(self, training):
        pairs = []
        for name, quantizer in self.weight_quantizers.items():
            variable = attrgetter(name)(self.operation)
            pairs.append((variable, quantizer(ops.convert_to_tensor(variable), training=training)))
        return pairs

    def arguments(self, inputs: Any):
        """Returns the positional and keyword arguments of the wrapped operation for `inputs`."""
        if self._placement.template is None:
            return (inputs,), {}
        leaves = keras.tree.flatten(inputs)
        fill = lambda x: leaves[x.position] if isinstance(x, Input) else x  # noqa: E731
        return keras.tree.map_structure(fill, self._placement.template)

    def set_batchnorm_frozen(self, frozen: bool) -> None:
        """Freezes or frees the BatchNorm statistics, also inside a training step already compiled."""
        if self.norm_layer() is not None:
            self.batchnorm_frozen.assign(float(frozen))

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, wrapped layers and quantizers included."""
        return {**super().get_config(), **saved_form(self), **self._grids.saved_form()}

    @classmethod
    def from_config(cls, config):
        """Returns the layer that `get_config` described."""
        return cls(**loaded_form(config))
