"""Dynamic-range files against the same weights with float activations."""

import keras
import numpy as np
import pytest

import kqat
from kqat_runtime.running.runtime import Runtime
from tests.export.compressed_nets import IMAGES, RNG, constant_types, every_kernel, predict

ACTIVATION_LEVELS = 127  # the coarser of the runtime's two ways to round activations: symmetric, ±127


def run(export, *arrays):
    return Runtime(export.content).run(arrays)[0]


def absolute(model, change):
    """A copy of a one-layer model with |weights|, no bias: how much a change of each input can add up to."""
    copy = keras.models.clone_model(model)
    copy.set_weights([np.abs(w) if w.ndim > 1 else 0 * w for w in model.get_weights()])
    return predict(copy, change)


def one_layer(layer, shape):
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input(shape), layer])


CASES = [
    *((lambda: keras.layers.Dense(7, name="layer"), (16,), bits) for bits in (8, 4, 3, 2, 1)),
    *((lambda: keras.layers.Dense(7, name="layer"), (5,), bits) for bits in (8, 4, 2)),
    *((lambda: keras.layers.Dense(7, name="layer"), (3, 6), bits) for bits in (8, 4, 2)),
    *(
        (lambda: keras.layers.Conv2D(6, 3, padding="same", name="layer"), (6, 6, 3), bits)
        for bits in (8, 4, 3)
    ),
    *((lambda: keras.layers.Conv2D(6, 3, groups=2, name="layer"), (6, 6, 4), bits) for bits in (8, 4)),
    *((lambda: keras.layers.Conv2D(6, 3, dilation_rate=2, name="layer"), (6, 6, 4), bits) for bits in (8, 4)),
    *((lambda: keras.layers.Conv1D(6, 3, strides=2, name="layer"), (9, 4), bits) for bits in (8, 4)),
    *((lambda: keras.layers.Conv2DTranspose(6, 3, 2, name="layer"), (4, 4, 3), bits) for bits in (8, 4)),
]


@pytest.mark.parametrize(("make", "shape", "bits"), CASES)
def test_a_hybrid_kernel_stays_within_the_rounding_of_its_inputs(make, shape, bits):
    model = one_layer(make(), shape)
    x = RNG.normal(size=(6, *shape)).astype("float32") * np.logspace(-2, 2, 6).reshape(-1, *[1] * len(shape))
    x = x.astype("float32")
    export = kqat.export_dynamic(model, bits=bits)
    assert any("layer" in note and "hybrid kernel" in note for note in export.report.notes)
    exact, theirs = run(kqat.export_weight_only(model, bits=bits), x), run(export, x)
    # Each input moves by at most half a step of its sample's grid; the weights are no larger than the
    # largest before rounding (below 8 bits a step up to 1.6 standard deviations of a channel: factor 2).
    step = np.abs(x).max(axis=tuple(range(1, x.ndim)), keepdims=True) / ACTIVATION_LEVELS
    bound = 2 * absolute(model, np.broadcast_to(step / 2, x.shape))
    assert np.all(np.abs(theirs - exact) <= bound + 1e-6 * np.abs(exact).max())
    assert np.abs(theirs - exact).max() > 0  # it does round, or it would not be this kernel


@pytest.mark.parametrize(
    ("layer", "bits"),
    [
        (lambda: keras.layers.DepthwiseConv2D(3, name="layer"), 8),
        (lambda: keras.layers.DepthwiseConv2D(3, name="layer"), 4),
        (lambda: keras.layers.DepthwiseConv2D(3, name="layer"), 2),
        (lambda: keras.layers.Conv2D(5, 3, name="layer"), 2),
    ],
)
def test_where_the_runtime_has_no_hybrid_kernel_weights_are_dequantized(layer, bits):
    model = one_layer(layer(), (8, 8, 3))
    export = kqat.export_dynamic(model, bits=bits)
    assert export.report.operators["DEQUANTIZE"] == 1
    (note,) = export.report.notes
    assert "dequantized for a float kernel" in note
    assert "the runtime" in note
    np.testing.assert_array_equal(run(export, IMAGES), run(kqat.export_weight_only(model, bits=bits), IMAGES))


@pytest.mark.parametrize("bits", [8, 4, 3, 2, 1])
def test_a_whole_net_runs_close_to_its_rounded_weights(bits):
    net = every_kernel()
    exact = run(kqat.export_weight_only(net, bits=bits), IMAGES)
    theirs = run(kqat.export_dynamic(net, bits=bits), IMAGES)
    # Three rounded tensors (image, input of each dense layer), each within 1/254 of its largest value, of
    # which a random sum keeps a fraction: a percent of a probability is a loose bound and far below 1/5.
    np.testing.assert_allclose(theirs, exact, atol=1e-2)
    assert np.abs(theirs - exact).max() > 0


def test_a_quantized_model_keeps_its_trained_grids():
    net = every_kernel()
    q = kqat.calibrate(kqat.quantize(net, bits=3), IMAGES, verbose=0)
    export = kqat.export_dynamic(q)
    assert constant_types(export.content)["hidden/weights"] == "INT4"
    assert {line.name: line.weight_bits for line in export.report.layers} == {
        "stem": 8,
        "depthwise": 3,
        "up": 3,
        "hidden": 3,
        "head": 8,
    }
    exact = run(kqat.export_weight_only(q), IMAGES)
    np.testing.assert_allclose(run(export, IMAGES), exact, atol=1e-2)  # as for the float net


def test_eight_bits_run_whole_on_the_delegate():
    with Runtime(kqat.export_dynamic(every_kernel()).content) as runtime:
        assert runtime.delegation.whole


@pytest.mark.parametrize(
    ("inputs", "bits", "taken"), [(8, 4, True), (7, 4, False), (8, 2, True), (6, 2, False)]
)
def test_the_report_says_which_dense_layers_are_accelerated(inputs, bits, taken):
    export = kqat.export_dynamic(one_layer(keras.layers.Dense(4, name="layer"), (inputs,)), bits=bits)
    with Runtime(export.content) as runtime:
        assert runtime.delegation.whole == taken
    assert ("not accelerated" in export.report.notes[0]) == (not taken)


@pytest.mark.parametrize(("bits", "part"), [(8, 4), (4, 8), (2, 16)])
def test_a_file_of_weights_shrinks_with_their_width(bits, part):
    model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(512), keras.layers.Dense(256)])
    weights = 4 * (256 * 512 + 512 * 256) // part
    size = len(kqat.export_dynamic(model, bits=bits).content)
    # The rest: 768 channels with a bias (4 bytes), a scale (4) and a zero point (8), and the graph.
    assert weights + 16 * 768 < size < weights + 16 * 768 + 4096
