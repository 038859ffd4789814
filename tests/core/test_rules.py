"""Which layers a pattern names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqat.core.errors import PlanError, UnmatchedPatternError
from kqat.core.rules import Subject, check_all_match, first_match, matches
from kqat.core.spec import Rule


class Layer:
    """Stands for a layer."""


class Special(Layer):
    """A subclass of it."""


CONV = Subject("backbone/stage1/conv_2", Layer())
HEAD = Subject("head", Special())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("conv_2", True),
        ("backbone/stage1/conv_2", True),
        ("backbone", True),
        ("backbone/", True),
        ("backbone/stage1", True),
        ("stage1", True),
        ("stage1/conv_2", False),
        ("conv_*", True),
        ("*/conv_2", True),
        ("backbone/*", True),
        ("conv", False),
        ("back", False),
        ("stage", False),
        ("Conv_2", False),
        ("conv_?", True),
        ("conv_[13]", False),
        ("", False),
        (Layer, True),
        (Special, False),
        (lambda layer: isinstance(layer, Layer), True),
        (lambda layer: 0, False),
    ],
)
def test_patterns(pattern, expected):
    assert matches(pattern, CONV) is expected


def test_class_names_subclasses():
    assert matches(Layer, HEAD)


@pytest.mark.parametrize("pattern", [3, None, ("head",)])
def test_other_patterns_are_refused(pattern):
    with pytest.raises(PlanError, match="Received: .*Use for example 'head'"):
        matches(pattern, HEAD)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4))
def test_every_prefix_names_what_is_below(parts):
    subject = Subject("/".join(parts), None)
    for end in range(1, len(parts) + 1):
        assert matches("/".join(parts[:end]), subject)


def test_first_match_wins():
    rules = [Rule("conv*", weight_bits=2), Rule("backbone", weight_bits=3), Rule("*", weight_bits=4)]
    assert first_match(rules, CONV) is rules[0]
    assert first_match(rules, HEAD) is rules[2]
    assert first_match(rules[:2], HEAD) is None


def test_unmatched_name_offers_the_nearest():
    with pytest.raises(UnmatchedPatternError, match="exclude names no layer.*'haed'.*Nearest: 'head'"):
        check_all_match(["head", "haed"], [CONV, HEAD], "exclude")


def test_unmatched_class_offers_the_classes_there_are():
    with pytest.raises(UnmatchedPatternError, match="'dict'.*'Layer', 'Special'"):
        check_all_match([dict], [CONV, HEAD], "include")


def test_unmatched_predicate_is_named():
    def nothing(layer):
        return False

    with pytest.raises(UnmatchedPatternError, match="'nothing'"):
        check_all_match([nothing], [CONV, HEAD], "include")


def test_no_layers_at_all():
    with pytest.raises(UnmatchedPatternError, match="'x'"):
        check_all_match(["x"], [], "include")
