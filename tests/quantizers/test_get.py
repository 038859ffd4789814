"""Choosing a quantizer by name, class, configuration or need."""

import pytest

from kqat import quantizers


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("fixed", quantizers.FixedRange),
        ("ema", quantizers.MovingAverage),
        ("minmax", quantizers.MinMax),
        ("lsq", quantizers.LSQ),
        ("pact", quantizers.PACT),
        ("sign", quantizers.Sign),
        ("LSQ", quantizers.LSQ),
        ("MovingAverage", quantizers.MovingAverage),
    ],
)
def test_names(name, cls):
    assert type(quantizers.get(name)) is cls


def test_defaults_reach_those_that_have_them():
    assert quantizers.get("lsq", bits=3, axis=(-1,)).get_config()["axis"] == [-1]
    assert quantizers.get(quantizers.PACT, bits=3, axis=(-1,)).bits == 3


def test_objects_and_none_pass():
    quantizer = quantizers.MinMax(5)
    assert quantizers.get(quantizer, bits=8) is quantizer
    assert quantizers.get(None) is None
    assert quantizers.serialize(None) is quantizers.deserialize(None) is None


def test_configurations():
    copy = quantizers.get(quantizers.serialize(quantizers.MinMax(5, axis=(0, 2))))
    assert (type(copy), copy.bits, copy.axis) == (quantizers.MinMax, 5, (0, 2))


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(ValueError, match=r"Received: 'minmx'\. Use one of 'minmax'"):
        quantizers.get("minmx")


@pytest.mark.parametrize("wrong", [8, dict, object()])
def test_other_things_are_refused(wrong):
    with pytest.raises(TypeError, match="Use a kqat.quantizers.Quantizer"):
        quantizers.get(wrong)


@pytest.mark.parametrize(
    ("bits", "weight", "activation"),
    [
        (1, quantizers.Sign, quantizers.Sign),
        (2, quantizers.LSQ, quantizers.LSQ),
        (7, quantizers.LSQ, quantizers.LSQ),
        (8, quantizers.MinMax, quantizers.MovingAverage),
        (16, quantizers.MinMax, quantizers.MovingAverage),
    ],
)
def test_automatic_choice(bits, weight, activation):
    chosen = quantizers.auto_weight(bits, axis=(-1,))
    assert (type(chosen), chosen.bits, chosen.axis) == (weight, bits, (-1,))
    assert chosen.narrow_range
    chosen = quantizers.auto_activation(bits, signed=False)
    assert (type(chosen), chosen.bits) == (activation, bits)
    assert getattr(chosen, "symmetric", False) is (bits > 8)
    assert getattr(chosen, "scaled", False) is False
