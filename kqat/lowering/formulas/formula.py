"""Base of lowerings whose float arithmetic is one formula.

Every operation rounds once, as IEEE 754 says, in the order in which it is written down: then Keras and the
runtime cannot differ. Sums are exact only of whole numbers (see `whole_sums`).
"""

from kqat.lowering.base import Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.formulas.computed import Computed
from kqat.lowering.formulas.written import Written


class Formula(FloatBody):
    """Base of lowerings whose float arithmetic is one formula. Subclasses have `compute`."""

    def compute(self, do, step: Step, *inputs):
        """Returns the output for `inputs`, made with the operations of `do`.

        Args:
            do: `Computed` or `Written`, which have the same operations.
            step: The step, with the fields that `do` computes with.
            *inputs: Backend tensors, or references.
        """
        raise NotImplementedError

    def body(self, step, *inputs):
        return self.compute(Computed(step), step, *inputs)

    def write_body(self, writer, step, inputs, name):
        return writer.renamed(self.compute(Written(writer, step, name), step, *inputs), name)
