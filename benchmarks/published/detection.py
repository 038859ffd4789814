"""Networks that find things in images: boxes, points, characters."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids, images


class FeaturePyramid(layers.Layer):
    """Lin et al., "Feature Pyramid Networks", 2017."""

    def __init__(self, backbone=None, **kwargs):
        super().__init__(name="FeaturePyramid", **kwargs)
        self.backbone = backbone
        self.one_by_one = [layers.Conv2D(8, 1, 1, "same") for _ in range(3)]
        self.three_by_three = [layers.Conv2D(8, 3, 1, "same") for _ in range(3)]
        self.further = layers.Conv2D(8, 3, 2, "same")
        self.upsample_2x = layers.UpSampling2D(2)

    def call(self, images, training=False):
        found = self.backbone(images, training=training)
        levels = [conv(x) for conv, x in zip(self.one_by_one, found, strict=True)]
        levels[1] = levels[1] + self.upsample_2x(levels[2])
        levels[0] = levels[0] + self.upsample_2x(levels[1])
        levels = [conv(x) for conv, x in zip(self.three_by_three, levels, strict=True)]
        return (*levels, self.further(ops.relu(levels[-1])))


def _body():
    inputs = x = keras.Input((64, 64, 3))
    found = []
    for filters in (8, 8, 16, 16):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        found.append(x)
    return keras.Model(inputs, found[1:])


def _head(output_filters, bias_init):
    head = keras.Sequential([keras.Input(shape=(None, None, 8))])
    for _ in range(2):
        head.add(layers.Conv2D(8, 3, padding="same"))
        head.add(layers.ReLU())
    head.add(layers.Conv2D(output_filters, 3, 1, padding="same", bias_initializer=bias_init))
    return head


class RetinaNet(keras.Model):
    """Lin et al., "Focal Loss for Dense Object Detection", 2017; one head for all levels."""

    def __init__(self, num_classes, **kwargs):
        super().__init__(name="RetinaNet", **kwargs)
        self.fpn, self.num_classes = FeaturePyramid(_body()), num_classes
        prior = keras.initializers.Constant(-np.log((1 - 0.01) / 0.01))
        self.cls_head, self.box_head = _head(3 * num_classes, prior), _head(3 * 4, "zeros")

    def call(self, image, training=False):
        features = self.fpn(image, training=training)
        batch_size = ops.shape(image)[0]
        classes, boxes = [], []
        for feature in features:
            boxes.append(ops.reshape(self.box_head(feature), [batch_size, -1, 4]))
            classes.append(ops.reshape(self.cls_head(feature), [batch_size, -1, self.num_classes]))
        return ops.concatenate([ops.concatenate(boxes, axis=1), ops.concatenate(classes, axis=1)], axis=-1)


def retinanet():
    model = RetinaNet(5)
    model(images(64) / 255)
    return model, images(64) / 255


def keypoints():
    inputs = layers.Input((64, 64, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(inputs)
    for filters in (8, 16, 16, 24):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu6")(x)
    x = layers.Dropout(0.3)(x)
    x = layers.SeparableConv2D(24, kernel_size=3, strides=1, activation="relu")(x)
    return keras.Model(inputs, layers.SeparableConv2D(24, kernel_size=2, activation="sigmoid")(x)), images(64)


class CTCLayer(layers.Layer):
    """Adds the loss of an alignment while training, and hands the predictions through."""

    def __init__(self, name=None, **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        batch = ops.shape(y_true)[0]
        lengths = ops.ones((batch,), "int32")
        loss = ops.ctc_loss(y_true, y_pred, lengths * ops.shape(y_true)[1], lengths * ops.shape(y_pred)[1])
        self.add_loss(ops.mean(loss))
        return y_pred


def _reader(with_labels):
    image = layers.Input((48, 16, 1), name="image")
    x = layers.Conv2D(8, 3, activation="relu", kernel_initializer="he_normal", padding="same")(image)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Conv2D(16, 3, activation="relu", kernel_initializer="he_normal", padding="same")(x)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Reshape(target_shape=(12, 4 * 16))(x)
    x = layers.Dropout(0.2)(layers.Dense(16, activation="relu")(x))
    for units in (16, 8):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, dropout=0.25))(x)
    x = layers.Dense(12, activation="softmax", name="scores")(x)
    pixels = np.random.default_rng(0).uniform(size=(2, 48, 16, 1)).astype("float32")
    if not with_labels:
        return keras.Model(image, x), pixels
    labels = layers.Input(name="label", shape=(5,), dtype="int32")
    return keras.Model([image, labels], CTCLayer(name="ctc_loss")(labels, x)), {
        "image": pixels,
        "label": ids(5, 11),
    }


def captcha_reader():
    """Shi et al., "An End-to-End Trainable Neural Network for Image-Based Sequence Recognition", 2015."""
    return _reader(False)


def captcha_trainer():
    return _reader(True)


def vit_detector():
    """Boxes from a vision transformer: four numbers at its end."""
    inputs = keras.Input((32, 32, 3))
    patches = ops.image.extract_patches(inputs, 8)
    x = layers.Dense(16)(layers.Reshape((16, 192))(patches))
    x = x + layers.Embedding(16, 16)(ops.expand_dims(ops.arange(16), 0))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(y, y), x])
        y = layers.Dense(16, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([layers.Dropout(0.1)(y), x])
    x = layers.Dropout(0.3)(layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x)))
    return keras.Model(
        inputs, layers.Dense(4)(layers.Dense(32, activation=keras.activations.gelu)(x))
    ), images(32) / 255


MODELS = {
    "RetinaNet": retinanet,
    "Keypoints": keypoints,
    "CRNN for CAPTCHAs": captcha_reader,
    "CRNN with its CTC loss": captcha_trainer,
    "ViT detector": vit_detector,
}
