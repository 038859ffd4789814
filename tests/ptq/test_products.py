"""Layers as matrices: the product of the rows and the matrices is what the layer computes."""

import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from kqat.ptq.moments import InputMoments
from kqat.ptq.products import POSITIONS, Product

CASES = {
    "dense": (lambda: kl.Dense(5), (4, 7)),
    "dense on more axes": (lambda: kl.Dense(5), (2, 3, 7)),
    "same, strides": (lambda: kl.Conv2D(6, 3, padding="same", strides=2), (2, 7, 8, 4)),
    "groups, dilation": (lambda: kl.Conv2D(6, 3, groups=2, dilation_rate=2), (2, 9, 8, 4)),
    "depthwise": (lambda: kl.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), (2, 5, 6, 4)),
    "causal": (lambda: kl.Conv1D(3, 4, padding="causal"), (2, 9, 5)),
    "depthwise, one axis": (lambda: kl.DepthwiseConv1D(3, strides=2, padding="same"), (2, 9, 5)),
    "three axes": (lambda: kl.Conv3D(2, (2, 3, 1)), (2, 4, 5, 3, 2)),
}


def built(case):
    make, shape = CASES[case]
    operation = make()
    operation.use_bias = False
    operation.build(shape)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    return operation, x


@pytest.mark.parametrize("case", CASES)
def test_rows_times_matrices_are_the_outputs(case):
    operation, x = built(case)
    product = Product.of(operation)
    kernel = ops.convert_to_numpy(operation.kernel)
    matrices = product.matrices(kernel)
    np.testing.assert_array_equal(product.kernel(matrices), kernel)
    outputs = np.matmul(product.rows(x, np.random.default_rng(0)), matrices)
    expected = ops.convert_to_numpy(operation(x))
    # float32 sums of a few dozen terms, in another order
    np.testing.assert_allclose(outputs.transpose(1, 0, 2).reshape(expected.shape), expected, atol=1e-5)


def test_large_images_are_looked_at_in_some_places():
    operation = kl.Conv2D(2, 3)
    operation.build((None, 20, 20, 3))
    x = np.random.default_rng(0).normal(size=(3, 20, 20, 3)).astype("float32")
    rows = Product.of(operation).rows(x, np.random.default_rng(0))
    assert rows.shape == (1, 3 * POSITIONS, 27)


def test_other_layers_are_no_products():
    assert Product.of(kl.Conv2DTranspose(3, 2)) is None
    assert Product.of(kl.ReLU()) is None


def test_moments_are_those_of_all_batches():
    operation, x = built("dense")
    moments = InputMoments(Product.of(operation))
    moments.add(x)
    moments.add(2 * x)
    both = np.concatenate([x, 2 * x]).astype("float64")
    np.testing.assert_allclose(moments.matrices(False)[0], both.T @ both / 8, rtol=1e-5)
    np.testing.assert_allclose(moments.matrices(True)[0], np.cov(both.T, bias=True), rtol=1e-4, atol=1e-5)
