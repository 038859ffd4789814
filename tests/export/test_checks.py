"""Every check of a finished file, on files that were changed behind the exporter's back."""

from dataclasses import replace

import flatbuffers
import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import kqat
from kqat.core.errors import ExportError
from kqat.export import tflite
from kqat.export.checks import delegation
from kqat.export.checks.delegation import check_delegation
from kqat.export.checks.ends import check_ends
from kqat.export.checks.floats import check_floats
from kqat.export.checks.grids import check_grids
from kqat.export.checks.operators import check_operators
from kqat.export.checks.run import CHECKS, check_export
from kqat.export.checks.tensors import check_tensors
from kqat.export.checks.weights import check_biases, check_weights
from kqat.export.writing.emitter import Emitter
from kqat.formats.tflite.opened import Opened
from kqat.formats.tflite.write import to_tflite
from kqat.transforms.graph import trace

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(16, 8, 8, 4)).astype("float32")
OPS, TYPES = schema.BuiltinOperator, schema.TensorType


@pytest.fixture(scope="module")
def q():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((8, 8, 4), name="image"),
        keras.layers.Conv2D(8, 3, name="conv", activation="relu"),
        keras.layers.DepthwiseConv2D(3, name="depthwise"),
        keras.layers.GlobalAveragePooling2D(name="mean"),
        keras.layers.Dense(6, name="hidden"),
        keras.layers.Dense(3, name="head"),
    ]
    return kqat.calibrate(kqat.quantize(keras.Sequential(layers), exclude=["head"]), IMAGES, verbose=0)


@pytest.fixture(scope="module")
def written(q):
    emitter = Emitter(trace(q))
    program = emitter.run(q)
    return to_tflite(program), program


def changed(content, change):
    """The file after `change(graph, model)` on its object form."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    change(model.subgraphs[0], model)
    builder = flatbuffers.Builder(1 << 14)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tensor(graph, name):
    (found,) = [t for t in graph.tensors if t.name == name.encode()]
    return found


def ulp(values):
    return [np.nextafter(np.float32(values[0]), np.float32(1)), *values[1:]]


def data(graph, model, name):
    buffer = model.buffers[tensor(graph, name).buffer]
    buffer.data = np.array(buffer.data)
    return buffer.data


def no_change(graph, model):
    pass


def test_what_was_written_passes(written):
    content, program = written
    file, notes = check_export(changed(content, no_change), program)
    assert notes == []
    assert len(file.operators) == len(program.operations) == 7
    assert [weights.layer for weights in program.weights] == ["conv", "depthwise", "hidden"]
    assert {operator.kind for operator in program.operations} == {"integer", "float", "border"}


def drop_operator(graph, model):
    del graph.operators[2]


def other_operator(graph, model):
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = OPS.SUM
    model.operatorCodes.append(code)
    graph.operators[3].opcodeIndex = len(model.operatorCodes) - 1


def rewire(graph, model):
    graph.operators[2].inputs = [graph.operators[1].inputs[0], *graph.operators[2].inputs[1:]]


def raise_version(graph, model):
    model.operatorCodes[graph.operators[1].opcodeIndex].version = 5


def lower_version(graph, model):
    model.operatorCodes[graph.operators[1].opcodeIndex].version = 2


def other_end(graph, model):
    graph.outputs = [graph.operators[-2].outputs[0]]


def more_ends(graph, model):
    graph.outputs = [*graph.outputs, graph.operators[-2].outputs[0]]


def float_end(graph, model):
    graph.tensors[graph.inputs[0]].type = TYPES.INT8


def scale_of(name):
    def change(graph, model):
        quantization = tensor(graph, name).quantization
        quantization.scale = ulp(quantization.scale)

    return change


def zero_point_of(name):
    def change(graph, model):
        quantization = tensor(graph, name).quantization
        quantization.zeroPoint = [int(z) + 1 for z in quantization.zeroPoint]

    return change


def type_of(name, kind):
    def change(graph, model):
        tensor(graph, name).type = getattr(TYPES, kind)

    return change


def shape_of(name, *shape):
    def change(graph, model):
        tensor(graph, name).shape = list(shape)

    return change


def axis_of(name, axis):
    def change(graph, model):
        tensor(graph, name).quantization.quantizedDimension = axis

    return change


def one_weight(graph, model):
    data(graph, model, "hidden_quant/weights")[3] ^= 1


def no_weight(graph, model):
    values = data(graph, model, "hidden_quant/weights")
    values[np.flatnonzero(values)[0]] = 0


def cut_weights(graph, model):
    buffer = model.buffers[tensor(graph, "hidden_quant/weights").buffer]
    buffer.data = np.array(buffer.data)[:-1]


def no_such_axis(graph, model):
    data(graph, model, "mean_quant/axes").view(np.int32)[1] = 9


def other_name(graph, model):
    tensor(graph, "mean_quant").name = b"mean"


@pytest.mark.parametrize(
    ("check", "change", "said"),
    [
        (check_operators, drop_operator, "'depthwise' was not written as planned: other operators"),
        (check_operators, other_operator, "'mean' was not written as planned: other operators"),
        (check_operators, rewire, "'depthwise' .*: another operator"),
        (check_operators, raise_version, "'conv' .*: another operator"),
        (check_tensors, other_name, "'mean' .*another tensor"),
        (check_tensors, type_of("hidden_quant/float", "INT32"), "'hidden_quant' .*another tensor.*'int32'"),
        (check_tensors, shape_of("depthwise_quant", 1, 4, 5, 8), "'depthwise' .*another tensor"),
        (check_ends, float_end, "'image' .*Received: .*'int8'.*, not .*'float32'"),
        (check_ends, other_end, "'head' .*: another graph input or output"),
        (check_ends, more_ends, "'head' .*: more or fewer graph inputs or outputs"),
        (check_weights, type_of("conv_quant/weights", "UINT8"), "'conv' .*weights of another type"),
        (check_weights, shape_of("conv_quant/weights", 8, 3, 3, 3), "'conv' .*weights of another size"),
        (check_weights, cut_weights, "'hidden' .*weights of another size.*in 47 bytes"),
        (check_weights, scale_of("depthwise_quant/weights"), "'depthwise' .*other scales of the weights"),
        (check_weights, zero_point_of("hidden_quant/weights"), "'hidden' .*a zero point of the weights"),
        (check_weights, axis_of("conv_quant/weights", 1), "'conv' .*along another axis"),
        (check_weights, one_weight, "'hidden' .*other weights"),
        (check_weights, no_weight, "'hidden' .*other weights"),
        (check_biases, scale_of("conv_quant/bias"), "'conv' .*other scales of the bias"),
        (check_biases, type_of("hidden_quant/bias", "INT64"), "'hidden' .*a bias of another size"),
        (check_grids, scale_of("image_quant"), "'image_quant' .*another scale"),
        (check_grids, scale_of("hidden_quant"), "'hidden' .*another scale"),
        (check_grids, zero_point_of("conv_quant"), "'conv' .*another zero point"),
        (check_grids, type_of("mean_quant", "INT16"), "'mean' .*another type"),
        (check_floats, type_of("conv_quant", "FLOAT32"), "'conv' .*in float.*Received: CONV_2D, not integer"),
        (check_floats, type_of("depthwise_quant/bias", "FLOAT32"), "'depthwise' .*an operator in float"),
        (check_operators, lower_version, "'conv' .*another operator.*'CONV_2D', 2, .*not .'CONV_2D', 3,"),
    ],
)
def test_every_check_names_the_layer(written, check, change, said):
    content, program = written
    check(Opened(content), program)
    with pytest.raises(ExportError, match=f"Layer {said}"):
        check(Opened(changed(content, change)), program)


def test_a_border_that_nobody_planned_is_found(written):
    content, program = written
    operations = [replace(operation, kind="integer") for operation in program.operations]
    with pytest.raises(ExportError, match="'image_quant' .*in float.*Received: QUANTIZE"):
        check_floats(Opened(content), replace(program, operations=operations))
    inside = [replace(o, kind="float") if o.kind == "border" else o for o in program.operations]
    with pytest.raises(ExportError, match="'image_quant' .*in float.*Received: QUANTIZE, not float"):
        check_floats(Opened(content), replace(program, operations=inside))


def test_levels_without_a_code_are_found(written):
    content, program = written
    grids = [replace(program.grids[0], zero_point=program.grids[0].zero_point + 1)]

    def moved(graph, model):
        tensor(graph, "image_quant").quantization.zeroPoint = [grids[0].zero_point]

    with pytest.raises(ExportError, match="'image_quant' .*levels without a code.*Received: -127 to 128"):
        check_grids(Opened(changed(content, moved)), replace(program, grids=grids))


# What the runtime says.


def int4_conv(graph, model):
    """The same numbers in a type for which XNNPACK has no convolution."""
    weights = tensor(graph, "conv_quant/weights")
    buffer = model.buffers[weights.buffer]
    codes = np.asarray(buffer.data, np.uint8) & 15
    weights.type = TYPES.INT4
    buffer.data = codes[::2] | (codes[1::2] << 4)
    model.operatorCodes[graph.operators[1].opcodeIndex].version = 7


def test_a_layer_left_by_xnnpack_is_named(written):
    content, program = written
    with pytest.raises(ExportError, match="'conv' would not run on XNNPACK.*CONV_2D left behind"):
        check_delegation(Opened(changed(content, int4_conv)), program)


def test_what_the_runtime_refuses_is_named(written):
    content, program = written
    with pytest.raises(ExportError, match="refuses the file at layer 'depthwise'.*Tensor"):
        check_delegation(Opened(changed(content, shape_of("depthwise_quant/bias", 2, 4))), program)
    with pytest.raises(ExportError, match="refuses the file at layer 'mean'.*Node number 3"):
        check_delegation(Opened(changed(content, no_such_axis)), program)


def test_pieces_are_found(written, monkeypatch):
    content, program = written
    monkeypatch.setattr(delegation, "left_behind", lambda operators: (2, []))
    with pytest.raises(ExportError, match="in pieces. Received: 2 partitions"):
        check_delegation(Opened(content), program)


def test_a_runtime_without_xnnpack_is_reported_not_refused(q, monkeypatch):
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    plain = lambda **kwargs: Interpreter(experimental_op_resolver_type=resolver, **kwargs)  # noqa: E731
    monkeypatch.setattr(delegation, "Interpreter", plain)
    assert "XNNPACK was not applied here" in str(kqat.export_tflite(q).report)


def test_the_runtime_is_loaded_once(q, monkeypatch):
    loaded = []
    monkeypatch.setattr(delegation, "Interpreter", lambda **kwargs: loaded.append(1) or Interpreter(**kwargs))
    kqat.export_tflite(q)
    assert len(loaded) == 1


def test_a_file_that_fails_is_not_written(q, monkeypatch, tmp_path):
    monkeypatch.setattr(tflite, "to_tflite", lambda program: changed(to_tflite(program), one_weight))
    with pytest.raises(ExportError, match="'hidden' was not written as planned"):
        kqat.export_tflite(q, tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())


def test_all_checks_run():
    tested = (
        check_tensors,
        check_ends,
        check_weights,
        check_biases,
        check_grids,
        check_floats,
    )
    assert set(CHECKS) == {check_operators, *tested}
