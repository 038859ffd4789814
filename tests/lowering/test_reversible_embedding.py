"""ReversibleEmbedding: what it computes in both of its modes is what the file computes."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from tests.exactness import assert_exact

pytestmark = pytest.mark.skipif(not hasattr(kl, "ReversibleEmbedding"), reason="this Keras has none")
IDS = np.random.default_rng(0).integers(0, 12, (6, 5)).astype("int32")


@pytest.mark.parametrize("options", [{}, {"tie_weights": False}, {"logit_soft_cap": 3.0}])
def test_both_modes(options, tmp_path):
    table, x = kl.ReversibleEmbedding(12, 6, **options), keras.Input((5,), dtype="int32")
    logits = table(kl.Dense(6, activation="relu")(table(x)), reverse=True)
    model = keras.Model(x, [logits, ops.argmax(logits, axis=-1)])
    q, _ = assert_exact(model, 8, IDS, saved=tmp_path / "model.keras")
    assert tuple(q(IDS)[0].shape) == (6, 5, 12)
    assert "ReversibleEmbedding" in {layer.kind for layer in kqat.plan(model).float_layers}


def test_one_mode_after_the_other_in_front_of_a_weighted_layer():
    """Its first call reads whole numbers and its second one real ones, which then need a grid."""
    table, x = kl.ReversibleEmbedding(12, 6), keras.Input((5,), dtype="int32")
    model = keras.Model(x, kl.Dense(3)(kl.Flatten()(table(table(x), reverse=True))))
    assert "no quantization rule" in kqat.plan(model)["reversible_embedding"].reason
    assert_exact(model, 8, IDS)
