"""Layers that augment images in training and do nothing at inference."""

from keras import layers

from kqat.lowering.registry import register
from kqat.lowering.shape import Identity
from kqat.lowering.treatment import PASSTHROUGH

_NAMES = (
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomBrightness", "RandomTranslation",
    "RandomGrayscale", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomErasing",
    "RandomPosterization", "RandomColorDegeneration", "RandomColorJitter", "RandomInvert",
    "RandomPerspective", "RandomElasticTransform", "RandomGaussianBlur", "Solarization", "RandAugment",
    "AugMix", "CutMix", "MixUp",
)  # fmt: skip
AUGMENTATIONS = tuple(getattr(layers, name) for name in _NAMES if hasattr(layers, name))


@register(*AUGMENTATIONS, treatment=PASSTHROUGH)
class Augmentation(Identity):
    """Nothing is written."""
