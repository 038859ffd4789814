import keras
import numpy as np

import kqat
from kqat.export.fallback.sample import sample_inputs
from kqat.transforms.graph import trace
from tests.export.fallback.nets import kl, ops


def test_values_fit_what_reads_them():
    image, ids = keras.Input((4, 4, 3), name="image"), keras.Input((5,), dtype="int32", name="ids")
    mask, number = (
        keras.Input((5,), dtype="bool", name="mask"),
        keras.Input((1,), dtype="int32", name="number"),
    )
    words = kl.Flatten()(kl.Embedding(7, 2, embeddings_initializer="ones")(ops.cast(ids, "int32")))
    parts = [kl.Flatten()(image), words, ops.cast(mask, "float32"), ops.cast(number, "float32")]
    model = keras.Model(
        [image, ids, mask, number],
        kl.Dense(2)(ops.concatenate([kl.Reshape((-1,))(p) for p in parts], axis=-1)),
    )
    data = [np.full((9, 4, 4, 3), 3, "float32"), np.ones((9, 5), "int32"), np.ones((9, 5), bool)]
    q = kqat.calibrate(kqat.quantize(model), [*data, np.ones((9, 1), "int32")], verbose=0)
    images, tokens, flags, numbers = sample_inputs(trace(q), 64)
    assert images.shape == (64, 4, 4, 3)
    assert 2 < images.max() <= 3.1
    assert images.min() >= -3.1
    assert set(np.unique(tokens)) == set(range(7))
    assert tokens.dtype == np.int32
    assert flags.dtype == bool
    assert set(np.unique(numbers)) == {0, 1}
