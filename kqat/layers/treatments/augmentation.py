"""Layers that augment images in training and do nothing at inference."""

from kqat.layers.registry import register
from kqat.layers.treatments.kinds import PASSTHROUGH
from kqat.lowering.augmentation import AUGMENTATIONS

register(*AUGMENTATIONS, treatment=PASSTHROUGH)
