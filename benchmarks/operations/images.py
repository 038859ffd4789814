"""Rows for what `keras.ops.image` exports."""

import numpy as np
from keras import ops

from benchmarks.operations.row import IMAGE, VECTOR, VOLUME, Row, one

_PICTURE = (8, 8, 3)
IMAGES = {
    "affine_transform": one(
        lambda: lambda x: ops.image.affine_transform(x, np.array([[1, 0, 1, 0, 1, 0, 0, 0]] * 16, "float32")),
        _PICTURE,
    ),
    "crop_images": one(
        lambda: lambda x: ops.image.crop_images(x, 1, 1, target_height=4, target_width=4), IMAGE
    ),
    "elastic_transform": one(lambda: ops.image.elastic_transform, _PICTURE),
    "extract_patches": one(lambda: lambda x: ops.image.extract_patches(x, 2), IMAGE),
    "extract_patches_3d": one(lambda: lambda x: ops.image.extract_patches_3d(x, 2), VOLUME),
    "gaussian_blur": one(lambda: ops.image.gaussian_blur, _PICTURE),
    "hsv_to_rgb": one(lambda: lambda x: ops.image.hsv_to_rgb(ops.sigmoid(x)), _PICTURE),
    "map_coordinates": one(
        lambda: lambda x: ops.image.map_coordinates(x, np.zeros((2, 4), "float32"), 1), VECTOR
    ),
    "pad_images": one(
        lambda: lambda x: ops.image.pad_images(x, 1, 2, target_height=8, target_width=9), IMAGE
    ),
    "perspective_transform": one(
        lambda: (
            lambda x: ops.image.perspective_transform(
                x,
                np.array([[[0, 0], [0, 8], [8, 0], [8, 8]]] * 16, "float32"),
                np.array([[[0, 1], [0, 8], [8, 0], [8, 8]]] * 16, "float32"),
            )
        ),
        _PICTURE,
    ),
    "resize": one(lambda: lambda x: ops.image.resize(x, (5, 7)), IMAGE),
    "resize, bicubic": one(lambda: lambda x: ops.image.resize(x, (5, 7), interpolation="bicubic"), IMAGE),
    "resize, antialias": one(lambda: lambda x: ops.image.resize(x, (3, 4), antialias=True), IMAGE),
    "rgb_to_grayscale": one(lambda: ops.image.rgb_to_grayscale, _PICTURE),
    "rgb_to_hsv": one(lambda: lambda x: ops.image.rgb_to_hsv(ops.sigmoid(x)), _PICTURE),
    "scale_and_translate": one(
        lambda: (
            lambda x: ops.image.scale_and_translate(
                x, (16, 5, 7, 4), np.ones(2, "float32"), np.zeros(2, "float32"), (1, 2), "linear"
            )
        ),
        IMAGE,
    ),
    "sobel_edges": one(lambda: ops.image.sobel_edges, IMAGE),
    "ssim": Row(lambda a, b: ops.image.ssim(a, b, 1.0, filter_size=5), (_PICTURE, _PICTURE)),
}
