"""Golden form of Larq Compute Engine's operators against sums and maxima of the signs themselves."""

import numpy as np
import pytest

from kqat_runtime.running import lce_reference as golden

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 70])
def test_packing_and_back(channels):
    x = RNG.choice([-1.0, 1.0], (2, 3, channels)).astype(np.float32)
    packed = golden.pack_signs(x)
    assert packed.dtype == np.int32
    assert packed.shape == (2, 3, golden.words(channels))
    np.testing.assert_array_equal(golden.unpack_signs(packed, channels), x)


def test_the_first_channel_lies_in_the_lowest_bit_and_spare_bits_are_0():
    assert golden.pack_signs(np.array([-1.0, 1.0, -1.0, 1.0])).tolist() == [0b101]
    assert golden.pack_signs(np.full(33, -1.0)).tolist() == [-1, 1]


def test_the_sign_of_0_is_positive_and_of_codes_relative_to_the_zero_point():
    assert golden.pack_signs(np.float32([0.0, -0.0, -1e-30])).tolist() == [0b100]
    assert golden.pack_signs(np.int8([-4, -3, -2]), zero_point=-3).tolist() == [0b001]


@pytest.mark.parametrize("pad_values", [0, 1])
@pytest.mark.parametrize(("strides", "dilation"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 2))])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolutions_are_sums_of_products(padding, strides, dilation, pad_values):
    x, kernel = RNG.choice([-1, 1], (2, 7, 6, 35)), RNG.choice([-1, 1], (4, 3, 2, 35))
    window = golden.BinaryWindow(35, strides, dilation, padding, pad_values)
    pop = golden.differing_bits(golden.pack_signs(x), golden.pack_signs(kernel), window)
    reach = [2 * dilation[0] + 1, dilation[1] + 1]
    if padding == "same":
        sides = zip((7, 6), reach, strides, strict=True)
        totals = [max((-(-side // stride) - 1) * stride + r - side, 0) for side, r, stride in sides]
        margins = [(0, 0), *((t // 2, t - t // 2) for t in totals), (0, 0)]
        x = np.pad(x, margins, constant_values=pad_values)
    for row in range(pop.shape[1]):
        for column in range(pop.shape[2]):
            top, left = row * strides[0], column * strides[1]
            patch = x[:, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]]
            sums = np.einsum("bijc,oijc->bo", patch, kernel)
            np.testing.assert_array_equal(3 * 2 * 35 - 2 * pop[:, row, column], sums)


def test_groups_read_their_own_channels():
    x, kernel = RNG.choice([-1, 1], (1, 1, 1, 64)), RNG.choice([-1, 1], (4, 1, 1, 32))
    pop = golden.differing_bits(golden.pack_signs(x), golden.pack_signs(kernel), golden.BinaryWindow(64))
    halves = np.repeat(x.reshape(2, 32), 2, axis=0)
    np.testing.assert_array_equal(32 - 2 * pop.ravel(), np.sum(halves * kernel.reshape(4, 32), axis=1))


def test_outputs():
    pop = np.array([[0.0, 3.0, 6.0]])
    sums = 6 - 2 * pop
    gain, bias = np.float32([0.5, -1.0, 2.0]), np.float32([1.0, 0.25, -3.0])
    np.testing.assert_array_equal(golden.bconv_float(pop, gain, bias, 6), sums * gain + bias)
    assert golden.bconv_int8(pop, gain, bias, 6, 0.5, -10).tolist() == [[-2, -10, -40]]  # -9.5 rounds down
    assert golden.bconv_bits(pop, np.int32([0, 2, 7])).tolist() == [[0b010]]


def test_a_maximum_of_signs():
    x = RNG.choice([-1, 1], (1, 5, 4, 40))
    found = golden.unpack_signs(golden.bmaxpool(golden.pack_signs(x), (2, 2), (2, 2), "same"), 40)
    padded = np.pad(x, [(0, 0), (0, 1), (0, 0), (0, 0)], constant_values=-1)
    np.testing.assert_array_equal(found, padded.reshape(1, 3, 2, 2, 2, 40).max(axis=(2, 4)))
