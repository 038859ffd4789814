"""An operation that kqat has no rule for, added from outside: computed and written as a table."""

import keras
import numpy as np
from keras import layers as kl
from keras import ops

import kqat
from kqat.lowering.activations.table import Gather
from kqat.lowering.base import Lowering
from tests.exactness import assert_exact, branches, images


class CubeRoot(Lowering):
    def forward(self, step, x):
        return Gather(self._root).forward(x, step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        return Gather(self._root).write(writer, inputs[0], step.output, name)

    def _root(self, x):
        return ops.sign(x) * ops.power(ops.abs(x), 1.0 / 3.0)


def test_an_operation_is_one_file():
    keras.utils.set_random_seed(0)
    model = branches((6,), [lambda x: kl.Dense(3)(ops.cbrt(kl.Dense(5)(x)))])
    (before,) = [layer for layer in kqat.plan(model) if layer.kind == "ops.Cbrt"]
    kqat.register("ops.Cbrt", lowering=CubeRoot)
    (after,) = [layer for layer in kqat.plan(model) if layer.kind == "ops.Cbrt"]
    assert (before.mode, before.file) == ("float", "converter")
    assert (after.mode, after.file) == ("quantized", "integer")
    q, export = assert_exact(model, 8, images(32, 6))
    assert not [note for note in export.report.notes if note.kind == "float"]
    # The mean: next to 0, where the root is steep, half a level of the input is many levels of the output.
    x = images(32, 6)
    expected = ops.convert_to_numpy(model(x))
    error = ops.convert_to_numpy(q(x)) - expected
    assert np.mean(np.square(error)) < 0.01 * np.mean(np.square(expected))
