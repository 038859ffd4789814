"""What is written as nothing does nothing at inference."""

import keras
import numpy as np
import pytest
from keras import layers

from kqat.lowering.augmentation import AUGMENTATIONS
from tests.few import few_on_jax
from tests.lowering.harness import grid, samples
from tests.lowering.parity import check

ARGUMENTS = {
    "RandomRotation": (0.2,), "RandomZoom": (0.2,), "RandomContrast": (0.2,), "RandomBrightness": (0.2,),
    "RandomTranslation": (0.1, 0.1), "RandomHue": (0.2,), "RandomSaturation": (0.2,),
    "RandomSharpness": (0.2,), "RandomShear": (0.2, 0.2), "RandomPosterization": (3,),
    "RandomColorDegeneration": (0.2,),
}  # fmt: skip


KEPT = (layers.RandomFlip, layers.RandomRotation, layers.RandomContrast)  # of images, of places, of values


# Keras's MixUp asks JAX for int64, which JAX has only on request.
@pytest.mark.filterwarnings("ignore:.*Explicitly requested dtype int64")
@pytest.mark.parametrize("cls", few_on_jax(AUGMENTATIONS, *KEPT), ids=lambda cls: cls.__name__)
def test_inference_leaves_images_alone(cls):
    layer = cls(*ARGUMENTS.get(cls.__name__, ()))
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x, training=False)), x)
    source = grid(8, 1.0, signed=False)
    check(layer, (source,), source, samples(np.random.default_rng(0), source, (2, 8, 8, 3)), compile=False)


def test_layers_that_are_no_identity_are_not_among_them():
    assert layers.RandomCrop not in AUGMENTATIONS
    assert layers.AutoContrast not in AUGMENTATIONS
