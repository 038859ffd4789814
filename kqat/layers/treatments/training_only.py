"""Layers of the user's own that do nothing in inference."""

from kqat.layers.registry import register
from kqat.layers.treatments.kinds import PASSTHROUGH
from kqat.lowering.training_only import TrainingOnly

register(TrainingOnly, treatment=PASSTHROUGH)
