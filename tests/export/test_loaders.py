"""Parity: the same file in every interpreter that runs XNNPACK, without tolerance."""

import numpy as np
import pytest

from benchmarks.runtimes.loaders import DEFAULT
from benchmarks.runtimes.nets import NETS, files
from benchmarks.runtimes.run import difference
from kqat_runtime.running.runtime import Runtime


@pytest.mark.parametrize("name", NETS)
def test_every_loader_gives_the_same_bits(name):
    ((_, content, x),) = files([name], count=8)
    with Runtime(content) as runtime:
        (expected,) = runtime.run([x], real=False)
    for loader, run in DEFAULT.items():
        found = run(content, x)
        assert found.dtype == expected.dtype, loader
        np.testing.assert_array_equal(found, expected, loader)


def test_differences_are_counted_in_steps():
    a = np.float32([0.5, 1.0, 1.5, 2.0])
    assert difference(a, a, 0.5) == "equal"
    assert difference(a, a + np.float32([0, 0, 0, 1]), 0.5) == "25.0%, at most 2 LSB"
    assert difference(a, a + np.float32([0, 0.25, 0, 0]), None) == "25.0%, at most 0.25"
