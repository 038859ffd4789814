"""Sums beyond 2^24: the integer form must still be what the runtime computes."""

import keras
import numpy as np
import pytest

import kqat


def wide_model(fan_in):
    inputs = keras.Input((fan_in,))
    return keras.Model(inputs, keras.layers.Dense(32, name="dense")(inputs))


@pytest.mark.parametrize("fan_in", [64, 4000])
def test_saturated_weights_and_inputs_stay_bit_equal(fan_in):
    model = wide_model(fan_in)
    rng = np.random.default_rng(fan_in)
    # Partial sums reach fan_in / 2 * 127 * 255 and then cancel, so that a rounded one shows in the output.
    kernel = rng.uniform(0.97, 1.0, (fan_in, 32)) * np.where(np.arange(fan_in) < fan_in // 2, 1, -1)[:, None]
    model.get_layer("dense").kernel.assign(kernel)
    data = rng.uniform(0.97, 1.0, (128, fan_in)).astype("float32")
    q = kqat.calibrate(kqat.quantize(model, bits=8), data, verbose=0)
    assert (fan_in / 2 * 127 * 255 > 2**24) == (fan_in == 4000)
    report = kqat.verify(q, kqat.export_tflite(q), data)
    assert report.exact, report
    np.testing.assert_array_equal(
        q.predict(data, verbose=0), keras.ops.convert_to_numpy(q(data, training=False))
    )
