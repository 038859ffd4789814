"""Image classifiers without attention."""

import keras
from keras import layers, ops

from benchmarks.published.data import images


def mnist_convnet():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return model, images(28, 1) / 255


def small_xception():
    """Chollet, "Xception", 2017: augmentation and scaling in the model, residual separable convolutions."""
    inputs = keras.Input((32, 32, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomRotation(0.1)(x)
    x = layers.Rescaling(1.0 / 255)(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    before = x
    for size in (16, 24):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.SeparableConv2D(size, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, layers.Conv2D(size, 1, strides=2, padding="same")(before)])
        before = x
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.25)(x))), images(32)


def conv_mixer():
    """Trockman and Kolter, "Patches Are All You Need?", 2022."""

    def block(x):
        return layers.BatchNormalization()(layers.Activation("gelu")(x))

    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = block(layers.Conv2D(16, 4, strides=4)(x))
    for _ in range(2):
        x = layers.Add()([block(layers.DepthwiseConv2D(5, padding="same")(x)), x])
        x = block(layers.Conv2D(16, 1)(x))
    x = layers.GlobalAvgPool2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), images(32)


class Patches(layers.Layer):
    def __init__(self, patch_size, num_patches):
        super().__init__()
        self.patch_size, self.num_patches = patch_size, num_patches

    def call(self, x):
        patches = ops.image.extract_patches(x, self.patch_size)
        batch_size = ops.shape(patches)[0]
        return ops.reshape(patches, (batch_size, self.num_patches, patches.shape[-1]))


class MixerBlock(layers.Layer):
    """Tolstikhin et al., "MLP-Mixer", 2021."""

    def __init__(self, num_patches, hidden, dropout_rate, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tokens = keras.Sequential(
            [
                layers.Dense(num_patches, activation="gelu"),
                layers.Dense(num_patches),
                layers.Dropout(dropout_rate),
            ]
        )
        self.channels = keras.Sequential(
            [layers.Dense(hidden, activation="gelu"), layers.Dense(hidden), layers.Dropout(dropout_rate)]
        )
        self.normalize = layers.LayerNormalization(epsilon=1e-6)

    def build(self, input_shape):
        return super().build(input_shape)

    def call(self, inputs):
        x = self.normalize(inputs)
        across = ops.transpose(x, axes=(0, 2, 1))
        x = ops.transpose(self.tokens(across), axes=(0, 2, 1)) + inputs
        return x + self.channels(self.normalize(x))


class GatingBlock(layers.Layer):
    """Liu et al., "Pay Attention to MLPs", 2021."""

    def __init__(self, num_patches, embedding, dropout_rate, **kwargs):
        super().__init__(**kwargs)
        self.into = keras.Sequential(
            [layers.Dense(embedding * 2, activation="gelu"), layers.Dropout(dropout_rate)]
        )
        self.out = layers.Dense(embedding)
        self.space = layers.Dense(num_patches, bias_initializer="ones")
        self.before = layers.LayerNormalization(epsilon=1e-6)
        self.inside = layers.LayerNormalization(epsilon=1e-6)

    def call(self, inputs):
        u, v = ops.split(self.into(self.before(inputs)), indices_or_sections=2, axis=2)
        v = ops.transpose(self.inside(v), (0, 2, 1))
        v = ops.transpose(self.space(v), (0, 2, 1))
        return inputs + self.out(u * v)


def _of_patches(*blocks):
    inputs = keras.Input((32, 32, 3))
    x = Patches(8, 16)(inputs)
    x = layers.Dense(16)(x)
    x = x + layers.Embedding(16, 16)(ops.arange(0, 16))
    x = keras.Sequential(list(blocks))(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(10)(x)), images(32) / 255


def mlp_mixer():
    return _of_patches(*(MixerBlock(16, 16, 0.2) for _ in range(2)))


def gated_mlp():
    return _of_patches(*(GatingBlock(16, 16, 0.2) for _ in range(2)))


class Involution(layers.Layer):
    """Li et al., "Involution", 2021: a kernel for each place, made from what is there."""

    def __init__(self, channel, group_number, kernel_size, stride, reduction_ratio, name):
        super().__init__(name=name)
        self.channel, self.group_number, self.kernel_size = channel, group_number, kernel_size
        self.stride, self.reduction_ratio = stride, reduction_ratio

    def build(self, input_shape):
        _, height, width, num_channels = input_shape
        height, width = height // self.stride, width // self.stride
        self.stride_layer = layers.AveragePooling2D(self.stride) if self.stride > 1 else layers.Identity()
        self.kernel_gen = keras.Sequential(
            [
                layers.Conv2D(self.channel // self.reduction_ratio, 1),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv2D(self.kernel_size * self.kernel_size * self.group_number, 1),
            ]
        )
        size = self.kernel_size * self.kernel_size
        self.kernel_reshape = layers.Reshape((height, width, size, 1, self.group_number))
        self.patches_reshape = layers.Reshape(
            (height, width, size, num_channels // self.group_number, self.group_number)
        )
        self.output_reshape = layers.Reshape((height, width, num_channels))

    def call(self, x):
        kernel = self.kernel_reshape(self.kernel_gen(self.stride_layer(x)))
        patches = ops.image.extract_patches(
            x, size=(self.kernel_size, self.kernel_size), strides=self.stride, dilation_rate=1, padding="same"
        )
        multiplied = ops.multiply(kernel, self.patches_reshape(patches))
        return self.output_reshape(ops.sum(multiplied, axis=3)), kernel


def involution_net():
    inputs = keras.Input((16, 16, 3))
    x, _ = Involution(3, 1, 3, 1, 2, "inv_1")(inputs)
    x = layers.MaxPooling2D((2, 2))(layers.ReLU()(x))
    x, _ = Involution(3, 1, 3, 1, 2, "inv_2")(x)
    x = layers.Flatten()(layers.ReLU()(x))
    x = layers.Dense(32, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10)(x)), images(16) / 255


def cutmix_resnet():
    """He et al., "Identity Mappings in Deep Residual Networks", 2016."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", kernel_initializer="he_normal")(inputs)
    for stage, width in enumerate((16, 24)):
        for block in range(2):
            strides = 2 if stage and not block else 1
            y = layers.Activation("relu")(layers.BatchNormalization()(x))
            y = layers.Conv2D(width, 3, strides=strides, padding="same", kernel_regularizer="l2")(y)
            y = layers.Activation("relu")(layers.BatchNormalization()(y))
            y = layers.Conv2D(width, 3, padding="same", kernel_regularizer="l2")(y)
            if strides > 1:
                x = layers.Conv2D(width, 1, strides=strides, padding="same")(x)
            x = layers.add([x, y])
    x = layers.AveragePooling2D(pool_size=8)(layers.Activation("relu")(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x))), images(32) / 255


def distilled_student():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, (3, 3), strides=(2, 2), padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.MaxPooling2D(pool_size=(2, 2), strides=(1, 1), padding="same"),
            layers.Conv2D(32, (3, 3), strides=(2, 2), padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    return model, images(28, 1) / 255


MODELS = {
    "ConvNet (MNIST)": mnist_convnet,
    "Xception, small": small_xception,
    "ConvMixer": conv_mixer,
    "MLP-Mixer": mlp_mixer,
    "gMLP": gated_mlp,
    "Involution": involution_net,
    "ResNet-20 v2 (CutMix)": cutmix_resnet,
    "Distilled student": distilled_student,
}
