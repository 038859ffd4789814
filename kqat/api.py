"""The verbs: dispatch on what the model is."""

import warnings
from importlib import import_module
from typing import Any

import keras

from kqat.core.errors import NothingQuantizedWarning, PlanError, TrainingMethodsWarning
from kqat.core.recognize import is_tf_keras
from kqat.core.spec import Bits
from kqat.export.outlook import with_outlook
from kqat.keras_private import layers_of
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.manual import ManualQuantization
from kqat.layers.quantized import Quantized
from kqat.transforms.acceptance import check_float_weights, check_variables
from kqat.transforms.graph import trace
from kqat.transforms.insert import Builder
from kqat.transforms.lost_methods import explain_losses, explain_lost, lost_methods
from kqat.transforms.norms import with_norms
from kqat.transforms.nothing import note_nothing, why_nothing
from kqat.transforms.plan import Plan, check_patterns, check_strict, settings
from kqat.transforms.planning.entries import plan_of
from kqat.transforms.planning.passes import draft_of
from kqat.transforms.planning.signs import makes_signs
from kqat.transforms.recipe import read_recipe
from kqat.transforms.reorder import behind_pooling, explained, movable
from kqat.transforms.replay import replayed
from kqat.transforms.splitting.split import split
from kqat.transforms.states import with_states
from kqat.transforms.strip import strip_fake_quant as strip
from kqat.transforms.whole_numbers import with_casts

ENGINES = ("auto", "native", "tfmot")


def quantize(
    model: keras.Model,
    bits: Any = 8,
    *,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    stream_bits: int = 8,
    boundary_bits: int = 8,
    include: Any = None,
    exclude: Any = None,
    quantizer: str = "auto",
    recipe: Any = None,
    engine: str = "auto",
    move_batchnorm: bool = False,
    input_shapes: Any = None,
    strict: bool = False,
) -> keras.Model:
    """Returns a quantization-aware copy of a model, ready for `fit`, `calibrate` and `export_tflite`.

    Args:
        model: Built Keras 3 model: Sequential, functional, subclassed or nested; or a functional or
            Sequential model of tf_keras. It is not changed.
        bits: Width of weights, and of activations where layers with weights (and products of matrices) read
            them, 1 to 16; a pair sets them apart: `(4, 8)` is W4A8. With activations of 1 bit, layers
            between the first and the last read signs; ReLUs in front of these are left out.
        weight_bits: Width of the weights, in place of `bits`.
        activation_bits: Width of the activations, in place of `bits`.
        stream_bits: Width of all other tensors, such as what is added, pooled or concatenated, at least that
            of the activations. A layer that reads one of them at fewer bits has it requantized.
            `stream_bits=1` gives each tensor one width.
        boundary_bits: Width of the model's inputs and outputs and, where `bits` is lower, of the first
            and last weighted layers (weights and input). Inputs are numbers and keep at least 2 bits.
        include: Patterns of the layers to quantize; by default all. A pattern is a name, a path, a path
            prefix (`"backbone"`), a glob, a compiled regular expression, a layer class or a predicate on the
            layer; in text a class is `"@Conv2D"` and an expression `"re:conv[0-9]"`.
        exclude: Patterns of the layers to leave in float, for example `["head"]`.
        quantizer: `"auto"` (8 bits and above: moving-average ranges, below: learned step sizes),
            `"lsq"`, `"ema"` or `"pact"`.
        recipe: A `Plan` to follow exactly, or a list of rules; the first rule that matches a layer decides:
            `[{"match": "conv*", "bits": 4}]`. Both may be JSON text, or the path of a `.json` file.
        engine: `"native"`, `"tfmot"` for the quantization of TensorFlow Model Optimization, which works on
            tf_keras models and converts others first, or `"auto"`: what the model is for. Of a tf_keras model
            `bits=1` makes one of larq.
        move_batchnorm: With activations of 1 bit, whether a BatchNorm in front of max pooling moves behind
            it, its ReLU with it, so that about half of the signs are +1. In float that changes nothing
            where its gains are at least 0; where one is negative, the network is another one.
        input_shapes: Sizes of inputs that have free ones, in the form of `export_tflite`: a dictionary from
            the name of an input to its shape without the batch, or the shape alone. What is computed from a
            size, such as a causal mask, is then constant. Language models mostly need it.
        strict: Raise if a layer stays in float for lack of support, or if `export_tflite` could not write a
            layer, or only with TensorFlow's converter.

    Returns:
        A functional `keras.Model` with the weights of `model`. In training it computes with
        fake-quantized values; in inference with the integers of the deployed file. For the engine `"tfmot"`
        a tf_keras model.

    Threads: may share the model, where none changes it meanwhile.

    Raises:
        TraceError: The model is not built or cannot be recorded, or `input_shapes` does not fit it.
        PlanError: An argument is wrong, or `strict=True` and a layer is not covered.
        UnmatchedPatternError: A pattern names no layer.

    Example:
        >>> import keras, kqat
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
        >>> q = kqat.quantize(model, bits=4)

    References:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", 2018. Esser et al., "Learned Step Size Quantization", 2020.
    """
    arguments = dict(locals())
    arguments.pop("model")
    _accept(model)
    if isinstance(model, keras.Model) and (lost := lost_methods(model)):
        warnings.warn(explain_lost(model, lost), TrainingMethodsWarning, stacklevel=2)
    if _is_for_tfmot(model, engine):
        return _legacy(bits, engine).quantize(model, **_of_legacy(arguments))
    graph, chosen, origins = _planned(model, **arguments)
    if graph.losses:
        warnings.warn(explain_losses(graph.losses), TrainingMethodsWarning, stacklevel=2)
    if strict:
        check_strict(with_outlook(chosen, graph))
    quantized = Builder(graph, chosen, origins).build()
    if why := why_nothing(chosen):
        note_nothing(quantized, why)
        warnings.warn(f"Nothing of model '{model.name}' is quantized: {why}.", NothingQuantizedWarning, 2)
    return quantized


def plan(model: keras.Model, bits: Any = 8, **options: Any) -> Plan:
    """Returns what `quantize` with the same arguments would do to each layer, and why.

    Args:
        model: As for `quantize`.
        bits: As for `quantize`.
        **options: The keyword arguments of `quantize`.

    Returns:
        A `Plan`: `print` it, save it with `to_json`, edit it, and pass it back as `recipe=`.

    Threads: may share the model, where none changes it meanwhile.
    """
    _accept(model)
    if _is_for_tfmot(model, options.get("engine", "auto")):
        return _legacy(bits, options.get("engine")).plan(model, bits, **_of_legacy(options))
    graph, chosen, _ = _planned(model, bits=bits, **options)
    found = with_outlook(chosen, graph)
    if options.get("strict"):
        check_strict(found)
    return found


def strip_fake_quant(model: keras.Model) -> keras.Model:
    """Returns the float model that is left when all quantization is taken out.

    Args:
        model: Keras 3 model with layers of kqat in it, or tf_keras model with tfmot's wrappers, kqat's layers
            or bare fake-quant operators.

    Returns:
        A new functional model. `model` is not changed.

    Invariant: for a model that was quantized and not trained, the result computes exactly what the
        original did.

    Threads: may share the model, where none changes it meanwhile.
    """
    if is_tf_keras(model):
        return import_module("kqat.legacy.strip").strip_fake_quant(model)
    return strip(model)


def _accept(model) -> None:
    """Raises a `PlanError` for a Keras model whose weights are not float numbers as they are."""
    if not isinstance(model, keras.Model):
        return
    if any(_is_ours(layer) for layer in layers_of(model)):
        raise PlanError(
            f"Model '{model.name}' is quantized already. Received: a model with kqat layers. "
            "Use strip_fake_quant(model) first."
        )
    check_float_weights(model)


def _is_for_tfmot(model, engine: str) -> bool:
    if engine == "native" and is_tf_keras(model):
        raise PlanError(
            "The native engine quantizes Keras 3 models. Received: a tf_keras model and engine='native'. "
            "Use engine='tfmot', or kqat.convert(model, to='keras') first."
        )
    return engine == "tfmot" or (engine == "auto" and is_tf_keras(model))


def _legacy(bits, engine):
    """Returns the engine for models of tf_keras: larq for one bit, else tfmot."""
    binary = Bits.of(bits) == Bits(1, 1) and engine != "tfmot"
    return import_module("kqat.legacy.larq.engine" if binary else "kqat.legacy.tfmot.engine")


def _of_legacy(options: dict) -> dict:
    if options.get("move_batchnorm"):
        raise PlanError(
            "A model of tf_keras keeps its order. Received: move_batchnorm=True. "
            "Use kqat.convert(model, to='keras') and the native engine."
        )
    if options.get("input_shapes") is not None:
        raise PlanError(
            "A model of tf_keras keeps its sizes. Received: input_shapes. Use "
            "kqat.convert(model, to='keras') and the native engine."
        )
    own = ("engine", "stream_bits", "boundary_bits", "move_batchnorm", "input_shapes")
    return {key: value for key, value in options.items() if key not in own}


def _planned(model, *, engine="auto", recipe=None, move_batchnorm=False, input_shapes=None, **options):
    """Returns the split graph of a model, the plan for it, and the origins of split layers."""
    if engine not in ENGINES:
        raise PlanError(f"Unknown engine. Received: engine={engine!r}. Use one of {ENGINES}.")
    recipe = read_recipe(recipe)
    graph = with_states(with_norms(with_casts(trace(model, shapes=input_shapes))))
    check_variables(graph.nodes)
    if isinstance(recipe, Plan):
        return replayed(graph, recipe, options | {"move_batchnorm": move_batchnorm or None})
    config = settings(recipe=recipe, **options)
    check_patterns(config, graph.nodes)
    graph, origins = split(graph, lambda node: config.excluded(node) is None)
    draft, runs = draft_of(graph, config), []
    if move_batchnorm:
        runs = _runs_to_move(graph, config)
        draft = draft_of(behind_pooling(graph, runs), config)
    return draft.graph, explained(plan_of(draft), runs), origins


def _runs_to_move(graph, config) -> list:
    """Returns the runs of BatchNorm and max pooling that change places: those that make signs."""
    if config.bits.activations != 1:
        raise PlanError(
            "Only signs want BatchNorm behind max pooling. Received: move_batchnorm=True with activations of "
            f"{config.bits.activations} bits. Use activation_bits=1, or leave it out."
        )
    runs = [run for run in movable(graph) if not any(config.excluded(node) for node in run.nodes)]
    moved = draft_of(behind_pooling(graph, runs), config)
    return [run for run in runs if makes_signs(moved, run.pooling.outputs[0])]


def _is_ours(layer) -> bool:
    return isinstance(layer, Quantized | FakeQuant | ManualQuantization)
