"""Comparison of Keras models with their files: exact pairs, wrong pairs, data in every form, and failures."""

import io
import json

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import kqat
from kqat.core.errors import FileError, KqatError, VerifyError
from kqat.export.comparing.counter import OutputCounter, steps
from kqat.export.comparing.report import VerifyReport
from tests.patched import patched

SHAPE, CLASSES = (8, 8, 3), 5


def network(name="small"):
    """Residual block and head, small enough to compile in a second."""
    x = keras.Input(SHAPE, name="image")
    h = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(x)
    h = keras.layers.BatchNormalization(name="norm")(h)
    h = keras.layers.ReLU(name="relu")(h)
    branch = keras.layers.Conv2D(6, 3, padding="same", name="branch")(h)
    h = keras.layers.Add(name="sum")([h, branch])
    return keras.Model(x, keras.layers.Conv2D(CLASSES, 8, name="head")(h), name=name)


def images(count, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (count, *SHAPE)).astype(np.float32)


def quantized(model, x, **options):
    keras.utils.set_random_seed(1)
    return kqat.calibrate(kqat.quantize(model, **options), x)


@pytest.fixture(scope="module")
def x():
    return images(40)


@pytest.fixture(scope="module")
def q(x):
    keras.utils.set_random_seed(0)
    return quantized(network(), x, bits=4)


@pytest.fixture(scope="module")
def export(q):
    return kqat.export_tflite(q)


@pytest.fixture(scope="module")
def expected(q, x):
    """Class that the quantized model predicts for each image."""
    return keras.ops.convert_to_numpy(q(x)).reshape(len(x), CLASSES).argmax(-1)


def changed_bias(content, name, by):
    """A file in which the bias of one layer is moved by some accumulator steps."""

    def change(model):
        (tensor,) = [t for t in model.subgraphs[0].tensors if t.name == f"{name}/bias".encode()]
        old = np.array(model.buffers[tensor.buffer].data, np.uint8)
        tensor.buffer = len(model.buffers)  # a buffer of its own: equal biases share one
        model.buffers.append(schema.BufferT(data=(old.view(np.int32) + by).view(np.uint8)))

    return patched(content, change)


# What is found.


def test_an_export_equals_its_model(q, export, x):
    report = kqat.verify(q, export, x)
    assert report.histogram == {0: 40 * CLASSES}
    assert (report.max_lsb, report.mismatches, report.top1_agreement) == (0, 0, 1.0)
    assert report.exact
    assert report.samples == 40
    assert report.delegated
    assert report.partitions == 1
    assert report.notes == ()
    assert report.accuracy is None
    assert report.first_difference is None


def test_layers_of_an_exact_pair_are_all_equal(q, export, x):
    report = kqat.verify(q, export, x, layers=True)
    assert [layer.layer for layer in report.layers] == [
        "image",
        "stem",
        "branch_input",
        "branch",
        "sum",
        "head",
    ]
    assert [layer.values for layer in report.layers[:2]] == [40 * 8 * 8 * 3, 40 * 8 * 8 * 6]
    assert all(layer.mismatches == 0 for layer in report.layers)
    assert report.first_difference is None


def test_layers_around_pooling_and_reshaping_are_compared_too(x):
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu", name="first"),
        keras.layers.MaxPooling2D(name="pool"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(CLASSES, name="last"),
    ]
    model = quantized(keras.Sequential([keras.Input(SHAPE, name="image"), *layers]), x, bits=4)
    report = kqat.verify(model, kqat.export_tflite(model), x, layers=True)
    assert report.exact
    assert [layer.layer for layer in report.layers] == ["image", "first", "pool", "flat", "last"]
    assert report.layers[2].values == 40 * 3 * 3 * 4
    assert report.first_difference is None
    assert report.notes == ()


@pytest.mark.parametrize("name", ["stem", "branch", "head"])
def test_the_first_layer_that_differs_is_named(q, export, x, name):
    content = changed_bias(export.content, f"{name}_quant", 4000)
    report = kqat.verify(q, content, x, layers=True, isolated=False)
    assert report.first_difference.layer == name
    assert report.first_difference.max_lsb >= 1
    names = [layer.layer for layer in report.layers]
    assert all(layer.mismatches == 0 for layer in report.layers[: names.index(name)])
    assert not report.exact
    assert f"first that differs: {name}" in str(report)


def test_differences_are_counted_in_steps_of_the_output(q, export, x):
    """Scale of the accumulator over scale of the output, times the change of the bias, is the shift."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(export.content))
    tensors = {t.name.decode(): t.quantization for t in model.subgraphs[0].tensors}
    step = float(tensors["head_quant"].scale[0])
    by = int(np.ceil(20 * step / min(tensors["head_quant/bias"].scale)))
    report = kqat.verify(q, changed_bias(export.content, "head_quant", by), x)
    shifts = np.rint(by * np.asarray(tensors["head_quant/bias"].scale) / step)
    # Rounding may move each value by one step more; saturation at the ends of the grid by any less.
    assert shifts.max() - 1 <= report.max_lsb <= shifts.max() + 1
    (output,) = report.outputs
    assert output.scale == step
    assert output.max_abs == pytest.approx(report.max_lsb * step, rel=1e-5)  # float32 against double
    assert sum(report.histogram.values()) == 40 * CLASSES
    assert report.mismatches == sum(n for lsb, n in report.histogram.items() if lsb) == output.unequal


def test_another_model_disagrees(export, x, expected):
    keras.utils.set_random_seed(5)
    other = quantized(network(), x, bits=4)
    report = kqat.verify(other, export, (x, expected))
    theirs = keras.ops.convert_to_numpy(other(x)).reshape(len(x), CLASSES).argmax(-1)
    assert report.top1_agreement == np.mean(theirs == expected) < 1
    assert report.accuracy == 1.0  # the labels are what the file's own model predicts
    assert report.keras_accuracy == report.top1_agreement
    assert report.max_lsb > 1


def test_a_trained_model_equals_its_file(x):
    model = kqat.quantize(network(), bits=8)
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(x, np.zeros((40, 1, 1, CLASSES)), epochs=1, batch_size=20, verbose=0)
    assert kqat.verify(model, kqat.export_tflite(model), x).exact


def test_a_float_head_is_compared_in_real_units(x):
    model = quantized(network(), x, bits=8, exclude=["head"])
    report = kqat.verify(model, kqat.export_tflite(model), x, layers=True)
    assert report.max_lsb is None
    assert report.histogram == {}
    assert report.mismatches == 0
    assert 0 <= report.outputs[0].max_abs < 1e-4  # sums of 384 terms of order 1 in float32
    assert [layer.layer for layer in report.layers] == ["image", "stem", "branch", "sum"]
    assert "float" in str(report)
    assert ": different" not in str(report)


def test_a_subclassed_float_model(x):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.convolve = keras.layers.Conv2D(4, 3, activation="relu", name="convolve")

        def call(self, x):
            return self.convolve(x)

    net = Net()
    net(x)
    report = kqat.verify(net, kqat.export_tflite(net), x)
    assert (report.mismatches, report.max_lsb, report.top1_agreement) == (0, None, 1.0)


def test_several_inputs_and_outputs(x):
    a, b = keras.Input(SHAPE, name="b_first"), keras.Input(SHAPE, name="a_second")
    convolve = keras.layers.Conv2D(4, 3, name="shared")
    one, two = convolve(a), convolve(b)
    outputs = [keras.layers.Conv2D(3, 6, name="last")(one), keras.layers.Add(name="total")([one, two])]
    model = quantized(keras.Model([a, b], outputs), [x, x * 2], bits=8)
    content = kqat.export_tflite(model)
    pair = [x, x[::-1] * 2]
    report = kqat.verify(model, content, pair, layers=True)
    assert report.exact
    assert len(report.outputs) == 2
    assert kqat.verify(model, content, {"b_first": pair[0], "a_second": pair[1]}).exact
    assert kqat.verify(model, content, tuple(pair)).exact
    labels = [np.zeros(40), np.zeros((40, 6, 6))]
    assert 0 < kqat.verify(model, content, (tuple(pair), labels)).accuracy < 1
    swapped = kqat.verify(model, content, {"b_first": pair[1], "a_second": pair[0]})
    assert swapped.exact
    with pytest.raises(VerifyError, match="takes 2 inputs. Received in batch 0: 3"):
        kqat.verify(model, content, [x, x, x])


def test_values_that_are_not_finite_are_never_equal():
    for scale in (0.5, None):
        counter = OutputCounter("y", scale)
        counter.add(np.float32([[1, 2, np.nan]]), np.float32([[1, np.nan, np.nan]]), None)
        output = counter.report()
        assert (output.values, output.nonfinite, output.unequal, output.mismatches) == (3, 2, 2, 2)
        assert not VerifyReport((output,), 1).exact


def test_steps_off_the_grid_count_as_a_difference():
    assert steps(np.array([0.0, 0.001, 0.3, 0.7, 1.0, 1.499, 2.001])).tolist() == [0, 0, 1, 1, 1, 1, 2]


def test_operators_outside_of_xnnpack_are_named(q, export, x):
    """An int4 filter computes the same numbers, but XNNPACK does not take it."""

    def change(model):
        (tensor,) = [t for t in model.subgraphs[0].tensors if t.name == b"branch_quant/weights"]
        buffer = model.buffers[tensor.buffer]
        codes = np.asarray(buffer.data, np.uint8) & 15
        tensor.type = schema.TensorType.INT4
        buffer.data = codes[::2] | (codes[1::2] << 4)

    report = kqat.verify(q, patched(export.content, change), x)
    assert report.not_delegated == {"CONV_2D": 1}
    assert report.delegated
    assert "not run by XNNPACK: CONV_2D x1" in str(report)


def test_a_runtime_without_xnnpack_is_reported(q, export, x, monkeypatch):
    from ai_edge_litert.interpreter import OpResolverType

    from kqat_runtime.running import runtime

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    plain = lambda **kwargs: original(experimental_op_resolver_type=resolver, **kwargs)  # noqa: E731
    original = runtime.Interpreter
    monkeypatch.setattr(runtime, "Interpreter", plain)
    report = kqat.verify(q, export, x)
    assert not report.delegated
    assert report.partitions == 0
    assert sum(report.not_delegated.values()) == sum(export.report.operators.values())
    assert "XNNPACK was not applied" in str(report)


# Data.


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return self.x[20 * i : 20 * i + 20], self.y[20 * i : 20 * i + 20]


def _forms(x, y):
    one_hot = np.eye(CLASSES)[y]
    return {
        "pair": (x, y),
        "column labels": (x, y[:, None]),
        "one-hot": (x, one_hot[:, None, None]),
        "dict": ({"image": x}, y),
        "list": ([x], y),
        "pydataset": Batches(x, y),
        "list of batches": [(x[:20], y[:20]), (x[20:], y[20:])],
        "generator": ((x[i : i + 20], y[i : i + 20]) for i in (0, 20)),
        "float64": (x.astype(np.float64), y),
        "backend tensors": [(keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y))],
    }


def test_every_form_of_labelled_data(q, export, x, expected):
    for form, data in _forms(x, expected).items():
        report = kqat.verify(q, export, data)
        assert (report.samples, report.max_lsb) == (40, 0), form
        assert (report.accuracy, report.keras_accuracy) == (1.0, 1.0), form


def test_every_form_of_unlabelled_data(q, export, x):
    for form in (x, {"image": x}, [x], (x,), iter([x[:20], x[20:]])):
        report = kqat.verify(q, export, form, batch_size=20)
        assert (report.samples, report.max_lsb, report.accuracy) == (40, 0, None)


WRONG_DATA = [
    (images(1)[0], r"another shape. Received in batch 0: .*Use \(None, 8, 8, 3\)"),
    (np.zeros((4, 7, 8, 3)), r"\(4, 7, 8, 3\). Use \(None, 8, 8, 3\)"),
    (np.zeros((0, *SHAPE)), "no data to compare on"),
    ([], "no data to compare on"),
    (np.full((2, *SHAPE), np.nan), "not finite"),
    (np.full((2, *SHAPE), "a"), "must be numbers"),
    ((images(4), np.zeros(3)), "differ in their number of samples"),
    ([(images(4), np.zeros(3))], "labels of output 'head' do not fit"),
    ((images(4), [np.zeros(4), np.zeros(4)]), "one array of labels an output. Received: 2"),
    ({"image": images(4), "other": images(4)}, "takes 1 inputs. Received in batch 0: 2"),
    (7, "not data for a model. Received: int"),
    ("images", "not data for a model. Received: str"),
]


def test_wrong_data_is_named(q, export):
    for data, said in WRONG_DATA:
        with pytest.raises(VerifyError, match=said):
            kqat.verify(q, export, data)


def test_a_missing_batch_axis_is_recognized(q, export):
    for batch_size in (4, 32):  # fewer and more than the sample has rows
        with pytest.raises(VerifyError, match=r"Add the batch axis: x\[None\]"):
            kqat.verify(q, export, images(1)[0], batch_size=batch_size)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_samples_without_a_batch_axis_are_put_together(q, export, x, expected, count):
    pairs = list(zip(x[:count], expected[:count], strict=True))
    for data in (list(x[:count]), iter(x[:count]), pairs):
        report = kqat.verify(q, export, data, batch_size=2)
        assert (report.samples, report.max_lsb) == (count, 0)
    assert report.accuracy == 1.0


def test_an_endless_dataset_is_refused(q, export):
    class Endless:
        def cardinality(self):
            return -1

        def __iter__(self):
            while True:
                yield images(1)

    with pytest.raises(VerifyError, match="never ends"):
        kqat.verify(q, export, Endless())


# Files.


def test_path_bytes_and_export_give_the_same_report(q, export, x, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(export.content)
    reports = [kqat.verify(q, source, x).to_dict() for source in (export, export.content, path, str(path))]
    assert all(report == reports[0] for report in reports)
    assert json.loads(json.dumps(reports[0]))["max_lsb"] == 0


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"no model", "not a .tflite file"),
        (None, "Received: NoneType"),
        ("/no/such/file.tflite", "cannot be read.*No such file"),
        (42, "Received: int. Use a path, bytes, or what kqat.export_tflite returned"),
    ],
)
def test_what_is_no_file_is_named(q, x, file, said):
    with pytest.raises(VerifyError, match=said):
        kqat.verify(q, file, x)


def test_a_file_of_another_model_is_named(q, x):
    wide = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 2, name="c")])
    content = kqat.export_tflite(quantized(wide, x[:, :4, :4], bits=8))
    with pytest.raises(FileError, match="other inputs than the model. Received: .*Export this model again"):
        kqat.verify(q, content, x)


def test_a_file_with_other_outputs_is_named(q, export, x):
    def twice(model):
        model.subgraphs[0].outputs = [*model.subgraphs[0].outputs] * 2

    with pytest.raises(
        VerifyError, match="other outputs than the model. Received: 2 in the file, 1 in the model"
    ):
        kqat.verify(q, patched(export.content, twice), x, isolated=False)


def test_not_a_model(export, x):
    with pytest.raises(VerifyError, match="must be a keras.Model. Received: str"):
        kqat.verify("model", export, x)
    with pytest.raises(VerifyError, match="batch_size=0. Use 1 or more"):
        kqat.verify(network(), export, x, batch_size=0)


@pytest.mark.parametrize(("seed", "damage"), [(0, 1), (1, 3), (2, 40)])
def test_damaged_files_never_crash_nor_pass(q, export, x, seed, damage):
    """Bytes overwritten anywhere: a clean error, or a report, which says "exact" only if it is."""
    rng = np.random.default_rng(seed)
    content = bytearray(export.content)
    for position in rng.integers(0, len(content), damage):
        content[position] = rng.integers(0, 256)
    try:
        report = kqat.verify(q, bytes(content), x[:4])
    except KqatError as error:
        assert "Received" in str(error)  # noqa: PT017
    else:
        assert report.exact == (report.mismatches == 0 and report.outputs[0].unequal == 0)


# The report.


def test_report_prints_as_a_table(q, export, x, expected):
    text = str(kqat.verify(q, export, (x, expected), layers=True))
    for part in (
        "bit-equal",
        "\nhead ",
        "LSB histogram: 0: 200",
        "accuracy: file 100",
        "layers compared: 6",
    ):
        assert part in text


def test_report_prints_through_rich(q, export, x):
    console = pytest.importorskip("rich.console").Console(width=100, record=True, file=io.StringIO())
    console.print(kqat.verify(q, export, x))
    assert "│ head " in console.export_text()


def test_an_empty_report_has_no_shares():
    report = VerifyReport((), 0)
    assert (report.max_lsb, report.top1_agreement, report.histogram) == (None, None, {})


@pytest.mark.once
@pytest.mark.parametrize(
    "moving",
    [
        keras.layers.UpSampling2D(2, interpolation="bilinear"),
        keras.layers.MaxPooling2D(2, strides=1, padding="same"),
        keras.layers.ZeroPadding2D(0),
        lambda x: keras.ops.max(x, axis=1, keepdims=True),
    ],
    ids=["resize", "pooling", "padding", "maximum"],
)
def test_layer_that_moves_values_to_another_grid_is_compared_behind_that(moving):
    """Its grid is that of the concatenation, and the file first has the values on the grid they come from."""
    inputs = keras.Input((6, 6, 3))
    wide = keras.layers.Conv2D(4, 1)(inputs)
    moved = moving(
        keras.layers.Conv2D(4, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.2))(inputs)
    )
    flat = [keras.layers.Flatten()(x) for x in (wide, moved)]
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Concatenate()(flat)))
    q = kqat.calibrate(kqat.quantize(model), x, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q), x, layers=True)
    assert not [layer for layer in report.layers if layer.mismatches]
