"""Operations that are decomposed: the same values in float, exact when quantized, saved and loaded."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from tests.exactness import assert_exact, branches, images, reloaded, values

SEQUENCES = {
    "append": lambda y: ops.append(y, y, axis=1),
    "hstack": lambda y: ops.hstack([y, y]),
    "dstack": lambda y: ops.dstack([y, y]),
    "parts": lambda y: ops.concatenate(ops.array_split(y, 4, axis=1)[::-1], axis=1),
    "hsplit": lambda y: ops.hsplit(y, [1, 4])[1],
    "dsplit": lambda y: ops.dsplit(y, 2)[1],
    "backwards": ops.fliplr,
    "windows": lambda y: ops.extract_sequences(y, 4, 2),
    "diagonal": lambda y: ops.diagonal(y, 1, 1, 2),
    "trace": lambda y: ops.expand_dims(ops.trace(y, axis1=1, axis2=2), -1),
    "lower triangle": lambda y: ops.tril(y, 1),
    "upper triangle": ops.triu,
    "glu": keras.activations.glu,
    "fmax": lambda y: ops.fmax(y, 0.25),
    "fmin": lambda y: ops.fmin(y, ops.flip(y, axis=1)),
    "distance": lambda y: ops.ptp(y, axis=1),
    "differences": lambda y: ops.diff(y, n=2, axis=1),
    "trapezoids": lambda y: ops.trapezoid(y, dx=0.5, axis=1),
    # Over the last axis: over another one Keras multiplies the weights with the last one on PyTorch.
    "average": lambda y: ops.average(y, axis=-1, weights=np.arange(1.0, 9.0)),
    "average of all": lambda y: ops.average(y, axis=-1),
    "choice": lambda y: ops.select([y > 0.5, y < -0.5], [y, ops.square(y)], 0.1),
    "log of a sum": lambda y: ops.logaddexp(y, ops.negative(y)),
    "moments": lambda y: ops.concatenate(ops.moments(y, axes=[1]), axis=-1),
    "full": lambda y: ops.add(y, ops.full_like(y, 0.5)),
    "layer normalization": lambda y: ops.layer_normalization(y, np.arange(8.0, dtype="float32")),
    "root mean square": lambda y: ops.rms_normalization(y),
    "batch normalization": lambda y: ops.batch_normalization(
        y, np.arange(8.0, dtype="float32"), np.arange(1.0, 9.0, dtype="float32"), axis=-1
    ),
    "attention": lambda y: kl.Attention()([y, kl.Dense(8)(y)]),
    "attention, scaled": lambda y: kl.Attention(use_scale=True)([y, kl.Dense(8)(y)]),
    "attention, causal": lambda y: kl.Attention()([y, y], use_causal_mask=True),
    "attention, scores": lambda y: kl.Attention()([y, y], return_attention_scores=True)[1],
    "attention, dropout": lambda y: kl.Attention(dropout=0.1)([y, kl.Dense(8)(y)]),
    "heads, dropout, scores": lambda y: kl.MultiHeadAttention(2, 4, dropout=0.1)(
        y, y, return_attention_scores=True
    )[0],
    "additive attention": lambda y: kl.AdditiveAttention()([y, kl.Dense(8)(y)]),
    "heads, scores": lambda y: kl.MultiHeadAttention(2, 4)(y, y, return_attention_scores=True)[1],
}
IMAGES = {
    "cropped": lambda y: ops.image.crop_images(y, 1, 2, target_height=3, target_width=2),
    "padded": lambda y: ops.image.pad_images(y, 1, 2, target_height=8, target_width=9),
    "turned": lambda y: ops.rot90(y, axes=(1, 2)),
    "turned twice": lambda y: ops.rot90(y, 2, axes=(1, 2)),
    "turned back": lambda y: ops.rot90(y, 3, axes=(1, 2)),
    "gray": lambda y: ops.image.rgb_to_grayscale(y[..., :3]),
    "middle": lambda y: kl.CenterCrop(3, 4)(y),
    "larger middle": lambda y: kl.CenterCrop(9, 7)(y),
    "cropped to a ratio": lambda y: kl.Resizing(4, 2, crop_to_aspect_ratio=True)(y),
    "padded to a ratio": lambda y: kl.Resizing(9, 4, pad_to_aspect_ratio=True)(y),
    "means": lambda y: kl.AdaptiveAveragePooling2D(3)(y),
    "means of unequal windows": lambda y: kl.AdaptiveAveragePooling2D((4, 5))(y),
    "maxima": lambda y: kl.AdaptiveMaxPooling2D((2, 3))(y),
    "maxima of unequal windows": lambda y: kl.AdaptiveMaxPooling2D(4)(y),
    "attention over an image": lambda y: kl.MultiHeadAttention(2, 4, attention_axes=(1, 2))(y, y),
    "attention over rows": lambda y: kl.MultiHeadAttention(2, 4, attention_axes=(2,))(y, y),
}
CASES = {"sequences": ((6, 8), SEQUENCES), "images": ((6, 6, 8), IMAGES)}


def _model(shape, functions):
    tail = lambda y: kl.Dense(2)(kl.Flatten()(y) if len(y.shape) > 2 else y)  # noqa: E731
    return branches(shape, [lambda x, f=f: tail(f(kl.Dense(8)(x))) for f in functions.values()])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("bits", [8, pytest.param(4, marks=pytest.mark.once)])
def test_quantized(case, bits, tmp_path):
    shape, functions = CASES[case]
    model, x = _model(shape, functions), images(8, *shape)
    assert not [layer for layer in kqat.plan(model, bits).float_layers if layer.cause != "whole"]
    q, export = assert_exact(model, bits, x)
    report = kqat.verify(reloaded(q, tmp_path / "model.keras"), export, x, layers=True)
    assert report.mismatches == 0, str(report)
    assert not [layer for layer in report.layers if layer.mismatches]


@pytest.mark.parametrize("case", CASES)
def test_the_values_in_float_stay(case):
    """Sums in another order move them by a few units in the last place of numbers around 1."""
    shape, functions = CASES[case]
    model, x = _model(shape, functions), images(8, *shape)
    bare = kqat.strip_fake_quant(kqat.quantize(model))
    ours, theirs = (keras.tree.flatten(m(x, training=False)) for m in (bare, model))
    for name, a, b in zip(functions, ours, theirs, strict=True):
        a, b = ops.convert_to_numpy(a), ops.convert_to_numpy(b)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.once
@pytest.mark.parametrize(
    "function",
    [
        lambda y: ops.rot90(y, axes=(0, 1)),
        lambda y: ops.diff(y, axis=0),
        lambda y: kl.AdaptiveAveragePooling1D(2, data_format="channels_first")(y),
        lambda y: kl.MultiHeadAttention(2, 4, attention_axes=(2,))(y, y, return_attention_scores=True)[0],
    ],
)
def test_what_has_no_such_form_stays_whole(function):
    plan = kqat.plan(branches((6, 8), [function]))
    assert [layer.reason for layer in plan.float_layers if "no quantization" in layer.reason]


@pytest.mark.once
@pytest.mark.parametrize("name", ["attention, dropout", "heads, dropout, scores"])
def test_weights_are_dropped_in_training_alone(name):
    x = images(8, 6, 8)
    q = kqat.calibrate(kqat.quantize(branches((6, 8), [SEQUENCES[name]])), x, verbose=0)
    outputs = [ops.convert_to_numpy(q(x, training=training)) for training in (True, True, False, False)]
    assert np.any(outputs[0] != outputs[1])
    np.testing.assert_array_equal(outputs[2], outputs[3])


@pytest.mark.once
def test_weights_inside_are_trained():
    x = images(8, 6, 8)
    q = kqat.quantize(branches((6, 8), [SEQUENCES["heads, scores"]]))
    q.compile("sgd", "mse", run_eagerly=True)
    before = [np.array(ops.convert_to_numpy(v)) for v in q.trainable_variables if "kernel" in v.path]
    y = values(q, x)
    q.fit(x, np.zeros_like(y), verbose=0)
    after = [ops.convert_to_numpy(v) for v in q.trainable_variables if "kernel" in v.path]
    assert len(before) == 2  # of queries and keys
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
