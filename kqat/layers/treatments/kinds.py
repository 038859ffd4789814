"""The kinds of treatment that most layers share."""

from keras import layers as kl

from kqat.layers.registry import Treatment

PASSTHROUGH = Treatment("passthrough", keeps_sign=True)
ARITHMETIC = Treatment("arithmetic")
POSITIVE_SUM = Treatment("arithmetic", keeps_sign=True)
PRODUCT = Treatment("arithmetic", keeps_sign=True, multiplies=True)
MERGE = Treatment("arithmetic", keeps_sign=True, fuses=True)


def weighted(*axes, attribute="kernel"):
    """Returns the treatment of a layer with one weight, whose `axes` keep a scale of their own."""
    return Treatment("weighted", weights={attribute: axes}, fuses=attribute == "kernel")


def named(names: str) -> list[type]:
    """Returns the Keras layer classes of these names that exist in the installed version."""
    return [getattr(kl, name) for name in names.split() if hasattr(kl, name)]
