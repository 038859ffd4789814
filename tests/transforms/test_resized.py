"""Models of free size, quantized for sizes that are given."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import TraceError
from tests.exactness import values

RNG = np.random.default_rng(0)


class Causal(kl.Layer):
    """Attention whose mask follows from the length, and whose projections leave the length open."""

    def build(self, shape):
        width = shape[-1]
        self.parts = [
            kl.EinsumDense("abc,cde->abde", (None, 2, 4), name=n) for n in ("query", "key", "value")
        ]
        for part in self.parts:
            part.build(shape)
        self.join = kl.EinsumDense("abde,dec->abc", (None, width), name="join")
        self.join.build((None, None, 2, 4))
        self.softmax = kl.Softmax()

    def call(self, x):
        query, key, value = (part(x) for part in self.parts)
        batch, length, _, _ = ops.shape(query)
        kept = ops.arange(length)[:, None] >= ops.arange(length)[None]
        kept = ops.broadcast_to(kept[None, None], (batch, 1, length, length))
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key) * 0.5
        return self.join(ops.einsum("bhqk,bkhd->bqhd", self.softmax(scores, kept), value))


def text():
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = kl.Embedding(9, 6, name="table")(ids)
    inner = keras.Input((None, 6))
    block = keras.Model(inner, kl.LayerNormalization()(inner + Causal(name="causal")(inner)), name="block")
    return keras.Model(ids, kl.Dense(3, name="head")(block(x)))


IDS = RNG.integers(0, 9, (8, 7)).astype("int32")


@pytest.mark.parametrize("bits", [8, 4], ids=str)
def test_what_follows_from_sizes_is_constant(bits, tmp_path):
    model = text()
    before = [len(layer._inbound_nodes) for layer in model.layers]
    q = kqat.quantize(model, bits, input_shapes={"ids": (7,)})
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
    assert q.inputs[0].shape == (None, 7)
    assert not [layer for layer in kqat.plan(model, bits, input_shapes=(7,)) if "piece" in layer.reason]
    q = kqat.calibrate(q, IDS, verbose=0)
    q.save(tmp_path / "m.keras")
    export = kqat.export_tflite(kqat.load_model(tmp_path / "m.keras"), fallback="error")
    report = kqat.verify(q, export, IDS, layers=True)
    assert report.max_lsb == 0
    assert not any(layer.mismatches for layer in report.layers)


def test_a_mask_shows_no_later_position():
    q = kqat.calibrate(kqat.quantize(text(), input_shapes=(7,)), IDS, verbose=0)
    changed = IDS.copy()
    changed[:, 5:] = (changed[:, 5:] + 1) % 9
    np.testing.assert_array_equal(values(q, IDS)[:, :5], values(q, changed)[:, :5])
    assert (values(q, IDS)[:, 5:] != values(q, changed)[:, 5:]).any()


def test_a_model_around_it_may_give_the_sizes():
    ids = keras.Input((7,), dtype="int32")
    q = kqat.calibrate(kqat.quantize(keras.Model(ids, text()(ids))), IDS, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), IDS).max_lsb == 0


def test_stripping_gives_the_model_back():
    model = text()
    bare = kqat.strip_fake_quant(kqat.quantize(model, input_shapes=(7,)))
    np.testing.assert_array_equal(values(bare, IDS), values(model, IDS))


@pytest.mark.parametrize(("shapes", "error"), [((7, 2), TraceError), ({"x": (7,)}, ValueError)])
def test_sizes_that_do_not_fit(shapes, error):
    with pytest.raises(error):
        kqat.quantize(text(), input_shapes=shapes)


def test_sizes_that_a_layer_does_not_take():
    free, fixed = keras.Input((None, 2), name="free"), keras.Input((3, 2), name="fixed")
    model = keras.Model([free, fixed], ops.concatenate([free, fixed], axis=-1))
    with pytest.raises(TraceError, match="does not compute with the sizes.*other sizes"):
        kqat.quantize(model, input_shapes={"free": (5, 2)})


def test_an_unknown_length_that_cannot_be_told_from_the_batch():
    class Positions(kl.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(300, shape[-1]), name="table")

        def call(self, x):
            return x + ops.broadcast_to(
                ops.slice(self.table, (0, 0), (ops.shape(x)[1], x.shape[2])), ops.shape(x)
            )

    i = keras.Input((None, 6))
    with pytest.raises(TraceError, match="sizes that are not known.*input_shapes"):
        kqat.quantize(keras.Model(i, Positions()(i)))
