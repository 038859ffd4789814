"""The parts of attention, and the layers that are split into them."""

from keras import layers as kl

from kqat.layers.registry import Treatment, register
from kqat.layers.treatments.activations import SIGMOID_RANGE
from kqat.layers.treatments.kinds import ARITHMETIC, PRODUCT
from kqat.lowering.probabilities import Probabilities
from kqat.lowering.product import Product

register(Product, treatment=PRODUCT)
register(Probabilities, treatment=Treatment("arithmetic", nonnegative=True, fixed=SIGMOID_RANGE))
# Whole they have no kernel: what is not split stays float, with the reason that `splitting.attention` gives.
register(kl.MultiHeadAttention, kl.GroupQueryAttention, "ops.DotProductAttention", treatment=ARITHMETIC)
