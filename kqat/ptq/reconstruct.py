"""Learns roundings, steps, gains and offsets from what the float model computes."""

import contextlib

import keras
import numpy as np
from keras import ops

from kqat.ops.arrays import as_numpy
from kqat.ptq.mixing import Mixtures, alone_or_tuple
from kqat.ptq.registry import step
from kqat.ptq.retune import Affine, affine_variables, retune
from kqat.ptq.work import NARROW, Work, start_at_levels
from kqat.transforms.batches import show
from kqat.transforms.observing import quantized_layers
from kqat.transforms.strip import float_twin

EPOCHS = {"balanced": 8, "thorough": 32}
BATCH, RATE = 32, 0.01
SPREAD_BATCHES = 4  # of which the variance of each tensor is taken


@step("reconstruct", effort="balanced", after=("gptq",), corrects=True)
def reconstruct(work: Work) -> bool:
    """Trains the quantized model to compute what the float one does, and keeps the roundings that it learns.

    Weights below 8 bits, the learned steps of weights and activations, BatchNorm's gains and offsets and
    biases are trained with straight-through gradients, on mixtures of the calibration samples. Then the
    user's variables are put back as they were: what was learned stays as roundings beside the nearest, as
    steps, and as drifts of BatchNorm.

    Forward: `loss = mean over places of sum((q - f)^2) / sum((f - mean(f))^2)`, plus the same of the outputs;
        q and f are the tensors of the quantized and of the float model where branches merge.

    References:
        Li, Gong, Tan, Yang, Hu, Zhang, Yu, Wang, Gu, "BRECQ: Pushing the Limit of Post-Training Quantization
        by Block Reconstruction", 2021 (the float tensors as targets).
        Esser, McKinstry, Bablani, Appuswamy, Modha, "Learned Step Size Quantization", 2020 (the gradients).
    """
    weights = list(work.weights())
    if not weights or not getattr(work.model, "inputs", None):
        return False
    twin, pairs = float_twin(work.model)
    pairs = [(layer.output, target) for layer, target in pairs if _merges(layer, work.model)]
    student, teacher = _with_places(work.model, twin, pairs)
    data = Mixtures(work.batches, teacher, BATCH, work.seed)
    with _restored(work.model):
        start_at_levels(weights)
        with _trained_only(work, weights):
            _fit(student, data, _spreads(teacher, work.batches), len(pairs), _rate(weights), work)
        levels = [as_numpy(w.quantizer.to_levels(ops.convert_to_tensor(w.variable))) for w in weights]
        trained = [(layer, Affine.of(layer)) for layer in work.layers if layer.drift is not None]
    for weight, chosen in zip(weights, levels, strict=True):
        weight.quantizer.set_levels(weight.values, chosen)
    for layer, affine in trained:
        retune(layer, affine)
    return True


def _merges(layer, model) -> bool:
    """Tells whether branches come together in a layer of the model itself."""
    if layer not in model.layers:  # but of a model inside it
        return False
    return isinstance(layer.output, keras.KerasTensor) and len(keras.tree.flatten(layer.input)) > 1


class _Student(keras.Model):
    """Trains a model as it is in inference: no statistics of batches, nothing dropped at random."""

    def __init__(self, inner):
        super().__init__(name="student")
        self.inner = inner

    def call(self, inputs, training=False):
        """Returns what the model computes in inference."""
        return self.inner(inputs, training=False)


def _with_places(model, twin, pairs) -> tuple[keras.Model, keras.Model]:
    """Returns both models with the tensors of the places, and then their outputs, as outputs."""
    ours, theirs = [one for one, _ in pairs], [one for _, one in pairs]
    student, teacher = (
        keras.Model(alone_or_tuple(whole.inputs), alone_or_tuple([*places, *whole.outputs]))
        for whole, places in ((model, ours), (twin, theirs))
    )
    return _Student(student), teacher


@contextlib.contextmanager
def _restored(model):
    """Puts back what the user owns, and what training mode changes: everything but quantizers."""
    learned = {id(v) for quantizer in _quantizers(model) for v in quantizer.variables}
    before = [(v, np.array(as_numpy(v))) for v in model.variables if id(v) not in learned]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _quantizers(model) -> list:
    fake_quants, wrapped = quantized_layers(model)
    of_weights = [q for layer in wrapped for q in layer.weight_quantizers.values()]
    return [f.quantizer for f in fake_quants] + of_weights


@contextlib.contextmanager
def _trained_only(work: Work, weights):
    """Lets `fit` train what can be told by quantizers and drifts, through the simulation of the arithmetic.

    Tensors of 8 bits and more are not rounded meanwhile: it would cost time and change next to nothing.
    """
    fake_quants, _ = quantized_layers(work.model)
    trained = {id(v) for v in _learnable(work, weights, fake_quants)}
    others = [v for v in work.model.trainable_variables if id(v) not in trained]
    try:
        for variable in others:
            variable.trainable = False
        for layer in work.layers:
            layer.simulating = True
        for fake_quant in fake_quants:
            fake_quant.observe_with(_rounded)
        yield
    finally:
        for variable in others:
            variable.trainable = True
        for layer in work.layers:
            layer.simulating = False
        for fake_quant in fake_quants:
            fake_quant.observe_with(None)


def _rounded(fake_quant, x):
    return x if fake_quant.quantizer.bits >= NARROW else fake_quant.quantizer(x)


def _learnable(work: Work, weights, fake_quants):
    """Yields the variables that may be trained."""
    for weight in weights:
        yield weight.variable
        if work.free_scales:
            yield from weight.quantizer.trainable_variables
    for fake_quant in fake_quants:
        yield from fake_quant.quantizer.trainable_variables
    for layer in work.layers:
        if layer.drift is not None:
            yield from affine_variables(layer)


def _spreads(teacher, batches) -> list[float]:
    """Returns the variance of each output of the teacher."""
    found = [keras.tree.flatten(teacher.predict_on_batch(_arrays(b))) for b in batches[:SPREAD_BATCHES]]
    return [
        float(np.var(np.concatenate([np.ravel(y) for y in parts]))) or 1.0
        for parts in zip(*found, strict=True)
    ]


def _arrays(batch):
    return alone_or_tuple([as_numpy(leaf) for leaf in keras.tree.flatten(batch)])


def _rate(weights) -> float:
    """Returns the learning rate at the start: a share of a step, so that it fits every width."""
    return RATE * float(np.exp(np.mean([np.mean(np.log(weight.scale)) for weight in weights])))


def _fit(student, data, spreads, places: int, rate: float, work: Work) -> None:
    """Trains the student on the teacher's tensors."""
    epochs = EPOCHS.get(work.effort, min(EPOCHS.values()))
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * len(data))
    student.compile(
        keras.optimizers.Adam(schedule),
        loss=[_error(spread) for spread in spreads],
        loss_weights=[1.0 / max(places, 1)] * places + [1.0] * (len(spreads) - places),
        jit_compile=keras.backend.backend() == "jax",  # elsewhere it takes longer to compile than to train
    )
    for _ in show(range(epochs), epochs, None, 1 if work.shown else 0, "reconstruct"):
        student.fit(data, verbose=0, shuffle=False)


def _error(spread: float):
    return lambda target, output: ops.mean(ops.square(target - output)) / spread
