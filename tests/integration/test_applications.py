"""Integration: parts of models of `keras.applications`, from quantization to the file, bit for bit.

One for each kind of block; `benchmarks/coverage` has all models, and whole.
"""

import keras
import numpy as np
import pytest

import kqat
from benchmarks.coverage.models import constructors, images, warm_up

# Family: model, options, and how many layers of it, which are enough to see every kind of block once.
FAMILIES = {
    "MobileNetV3": ("MobileNetV3Small", {"alpha": 0.75}, 57),
    "EfficientNetV2B": ("EfficientNetV2B0", {}, 46),
    "DenseNet": ("DenseNet121", {}, 53),
    "ResNetV2": ("ResNet50V2", {}, 52),
    "InceptionResNet": ("InceptionResNetV2", {}, 63),
    "ConvNeXt": ("ConvNeXtTiny", {}, 31),
    "NASNet": ("NASNetMobile", {}, 81),
    "VGG": ("VGG16", {}, 11),
}
# These are made of the blocks of another family.
SAME_BLOCKS = {
    "EfficientNet": "MobileNetV3",  # inverted residuals, squeeze and excitation
    "InceptionV3": "InceptionResNet",
    "MobileNet": "MobileNetV3",
    "ResNet": "ResNetV2",
    "Xception": "NASNet",  # separable convolutions
}
TESTED = {
    "tensorflow": list(FAMILIES),
    "torch": [family for family in FAMILIES if family != "NASNet"],  # Keras does not have it on PyTorch
    "jax": ["MobileNetV3", "VGG"],  # eager JAX compiles each operation for each shape: a minute a network
}
SIZE = 80


def part(family):
    """The first layers of a model, its BatchNorm statistics and offsets those of a trained one."""
    name, options, count = FAMILIES[family]
    # Without the classifier the model is cheap to make; the whole one has it.
    model = constructors()[name](
        weights=None, input_shape=(SIZE, SIZE, 3), include_top=count is None, classes=10, **options
    )
    if count is not None:
        model = keras.Model(model.input, model.layers[count - 1].output)
    warm_up(model, images(model, 2, seed=1))
    return model


def output(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def trained(model, x):
    """The model after one training step, in which every range is set."""
    model.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=keras.backend.backend() != "jax")
    model.train_on_batch(x, np.zeros((len(x), *model.output_shape[1:]), np.float32))
    return model


@pytest.mark.parametrize("family", TESTED[keras.backend.backend()])
def test_from_quantization_to_the_file(family, tmp_path):
    model = part(family)
    x = images(model, 2)
    plan = kqat.plan(model)
    assert {layer.cause for layer in plan.float_layers} <= {"collects"}  # a concatenation at the end
    q = kqat.quantize(model)
    bare = kqat.strip_fake_quant(q)
    np.testing.assert_array_equal(output(bare, x), output(model, x))
    # The paths differ where a layer was opened: its parts come back as layers of the model.
    assert [(layer.kind, layer.mode) for layer in kqat.plan(bare)] == [(p.kind, p.mode) for p in plan]
    y = output(trained(q, x), x)
    assert len(np.unique(y)) > 5  # a network that says the same about everything would agree with anything
    q.save(tmp_path / "q.keras")
    np.testing.assert_array_equal(output(kqat.load_model(tmp_path / "q.keras"), x), y)
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), images(model, 4, seed=7), layers=True)
    assert report.outputs[0].unequal == 0
    assert len(report.layers) >= 10
    assert not [layer.layer for layer in report.layers if layer.mismatches]


def test_every_kind_of_block_is_tested():
    kinds = (*FAMILIES, *SAME_BLOCKS)
    assert [name for name in constructors() if not name.startswith(kinds)] == []
    assert set(SAME_BLOCKS.values()) <= set(FAMILIES)
