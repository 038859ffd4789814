"""Bop flips what its average tells it to; a case optimizer hands each variable to the right one."""

import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat.optimizers import Bop, CaseOptimizer


def numpy(x):
    return np.array(ops.convert_to_numpy(x))


def net():
    return keras.Sequential(
        [
            keras.Input((6,)),
            kqat.layers.QuantDense(
                8, kernel_quantizer=kqat.quantizers.NoOp(precision=1), use_bias=False, name="a"
            ),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1, name="b"),
        ]
    )


def train(model, epochs=2):
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    return model.fit(x, x[:, :1], batch_size=32, epochs=epochs, shuffle=False, verbose=0)


def test_bop_is_the_formula():
    weights = np.array([1, 1, -1, -1, 0.3], "float32")
    variable = keras.Variable(weights)
    bop, average = Bop(threshold=0.1, gamma=0.5), np.zeros(5, "float32")
    for gradient in ([0.4, 0.1, -0.4, 0.4, 0], [0, 0.4, 0.4, -1, 0]):
        gradient = np.array(gradient, "float32")
        bop.apply([ops.convert_to_tensor(gradient)], [variable])
        average += 0.5 * (gradient - average)
        weights = np.where(-np.sign(weights * average - np.float32(0.1)) * weights >= 0, 1.0, -1.0)
        np.testing.assert_array_equal(numpy(variable), weights)
    np.testing.assert_array_equal(numpy(variable), [-1, -1, -1, 1, 1])


def test_hyperparameters_may_be_schedules_and_survive_a_configuration():
    decay = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.1)
    bop = keras.optimizers.deserialize(keras.optimizers.serialize(Bop(threshold=0.25, gamma=decay)))
    assert bop.get_config()["threshold"] == 0.25
    assert bop.gamma.get_config() == decay.get_config()
    variable = keras.Variable([1.0])
    bop.apply([ops.convert_to_tensor([1.0])], [variable])
    assert numpy(variable) == -1  # an average of 0.5 is above the threshold


@pytest.mark.slow
def test_cases_are_trained_by_their_optimizers_and_load_again(tmp_path):
    model = net()
    bop, adam = Bop(threshold=1e-6, gamma=0.1), keras.optimizers.Adam(0.01)
    model.compile(CaseOptimizer((Bop.is_binary_variable, bop), default_optimizer=adam), "mse")
    before = [numpy(v) for v in model.trainable_variables]
    train(model)
    for old, new in zip(before, model.trainable_variables, strict=True):
        assert np.any(numpy(new) != old), new.path
    assert set(np.unique(numpy(model.layers[0].kernel))) == {-1.0, 1.0}
    assert [int(numpy(one.iterations)) for one in (model.optimizer, bop, adam)] == [4, 4, 4]
    model.save(tmp_path / "model.keras")
    loaded = kqat.load_model(tmp_path / "model.keras")
    for old, new in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(numpy(old), numpy(new))
    train(model)
    train(loaded)
    for old, new in zip(model.trainable_variables, loaded.trainable_variables, strict=True):
        # The same steps in another compiled function.
        np.testing.assert_allclose(numpy(new), numpy(old), rtol=1e-5, atol=1e-6)


def test_the_learning_rate_is_that_of_the_default():
    adam = keras.optimizers.Adam(0.01)
    optimizer = CaseOptimizer((Bop.is_binary_variable, Bop()), default_optimizer=adam)
    optimizer.learning_rate = 0.5
    assert float(numpy(adam.learning_rate)) == float(numpy(optimizer.learning_rate)) == 0.5


def test_a_variable_has_one_optimizer():
    both = CaseOptimizer((lambda v: True, Bop()), (lambda v: True, Bop()))
    with pytest.raises(ValueError, match="claimed by 2 optimizers"):
        both.build([keras.Variable([1.0])])
    none = CaseOptimizer((Bop.is_binary_variable, Bop()), default_optimizer=keras.optimizers.SGD())
    with pytest.raises(ValueError, match="predicate for Bop claims no variable"):
        none.build([keras.Variable([1.0])])


def test_what_nobody_trains_is_said_and_kept():
    first, second = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = CaseOptimizer((lambda v: v is first, keras.optimizers.SGD(0.5)))
    with pytest.warns(UserWarning, match="is not trained"):
        optimizer.build([first, second])
    optimizer.apply([ops.convert_to_tensor([1.0])] * 2, [first, second])
    assert (numpy(first), numpy(second)) == (0.5, 1.0)


@pytest.mark.parametrize("pair", [(1, Bop()), (Bop.is_binary_variable, "bop")])
def test_pairs_are_checked(pair):
    with pytest.raises(TypeError, match="Received"):
        CaseOptimizer(pair)
