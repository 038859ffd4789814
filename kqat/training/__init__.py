"""Training at few bits as one verb, and the pieces that it is made of.

Threads: an object belongs to one training.
"""

from kqat.training.curve import Curve
from kqat.training.finetune import finetune
from kqat.training.recipe import Recipe
from kqat.training.teaching import Lesson, taught

__all__ = ["Curve", "Lesson", "Recipe", "finetune", "taught"]
