"""Small backbones of KerasHub that read images, with data for each."""

import importlib
from typing import Any

import numpy as np

keras_hub: Any = importlib.import_module("keras_hub")  # it needs Python 3.11

SIDE = 32
_IMAGES = {"image_shape": (SIDE, SIDE, 3)}
_TRANSFORMER = {"num_layers": 2, "num_heads": 2, "patch_size": 8, **_IMAGES}
_RESNET = {
    "input_conv_filters": [64], "input_conv_kernel_sizes": [7], "use_pre_activation": False, **_IMAGES,
}  # fmt: skip
_EFFICIENTNET = {
    "stackwise_width_coefficients": [1.0, 1.0], "stackwise_depth_coefficients": [1.0, 1.0],
    "stackwise_kernel_sizes": [3, 3], "stackwise_num_repeats": [1, 1], "stackwise_input_filters": [8, 8],
    "stackwise_output_filters": [8, 16], "stackwise_expansion_ratios": [1, 2], "stackwise_strides": [1, 2],
    "stackwise_squeeze_and_excite_ratios": [0.25, 0.25], "stackwise_block_types": ["v1", "unfused"],
    "stackwise_force_input_filters": [0, 0], "stackwise_nores_option": [False, False], "min_depth": None,
    "include_stem_padding": True, "use_depth_divisor_as_min_depth": True, "cap_round_filter_decrease": True,
    "stem_conv_padding": "valid", "batch_norm_momentum": 0.9, "batch_norm_epsilon": 1e-5, "dropout": 0,
    "projection_activation": None, **_IMAGES,
}  # fmt: skip
_HGNET = {
    "depths": [1, 1], "embedding_size": 8, "hidden_sizes": [8, 16], "stem_channels": [3, 8, 8],
    "hidden_act": "relu", "use_learnable_affine_block": False, "apply_downsample": [False, True],
    "stackwise_stage_filters": [[8, 8, 8, 1, 3, 3], [8, 8, 16, 1, 3, 3]],
    "use_lightweight_conv_block": [False, False], **_IMAGES,
}  # fmt: skip
_MIT = {
    "layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2], "layerwise_sr_ratios": [2, 1],
    "max_drop_path_rate": 0.1, "layerwise_patch_sizes": [7, 3], "layerwise_strides": [4, 2],
    "hidden_dims": [8, 16], **_IMAGES,
}  # fmt: skip
_MOBILENET = {
    "stackwise_expansion": [[8, 16], [16]], "stackwise_num_blocks": [2, 1],
    "stackwise_num_filters": [[8, 8], [8]],
    "stackwise_kernel_size": [[3, 3], [5]], "stackwise_num_strides": [[2, 1], [1]],
    "stackwise_se_ratio": [[None, None], [0.25]], "stackwise_padding": [[1, 1], [2]],
    "stackwise_activation": [["relu6", "relu6"], ["hard_swish"]], "output_num_filters": 32,
    "depthwise_filters": 8, "depthwise_stride": 1, "depthwise_residual": True, "input_num_filters": 8,
    "squeeze_and_excite": 0.5, "last_layer_filter": 32, "input_activation": "hard_swish",
    "output_activation": "hard_swish", **_IMAGES,
}  # fmt: skip
_VITDET = {
    "hidden_size": 16, "num_layers": 2, "intermediate_dim": 32, "num_heads": 2, "patch_size": 8,
    "global_attention_layer_indices": [1], "num_output_channels": 8, "window_size": 2, **_IMAGES,
}  # fmt: skip

# By name: the class and its arguments.
VISION = {
    "DINOv2": ("DINOV2Backbone", {**_TRANSFORMER, "hidden_dim": 16, "intermediate_dim": 32}),
    "DeiT": ("DeiTBackbone", {**_TRANSFORMER, "hidden_dim": 16, "intermediate_dim": 32}),
    "DenseNet": ("DenseNetBackbone", {"stackwise_num_repeats": [2, 2], "growth_rate": 8, **_IMAGES}),
    "EfficientNet": ("EfficientNetBackbone", _EFFICIENTNET),
    "HGNetV2": ("HGNetV2Backbone", _HGNET),
    "MiT": ("MiTBackbone", _MIT),
    "MobileNet": ("MobileNetBackbone", _MOBILENET),
    "ResNet": (
        "ResNetBackbone",
        {
            **_RESNET, "stackwise_num_filters": [64, 128], "stackwise_num_blocks": [1, 1],
            "stackwise_num_strides": [1, 2], "block_type": "basic_block",
        },
    ),
    "Swin": (
        "SwinTransformerBackbone",
        {"patch_size": 4, "embed_dim": 8, "depths": [2, 2], "num_heads": [1, 2], "window_size": 4, **_IMAGES},
    ),
    "VGG": ("VGGBackbone", {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [8, 8], **_IMAGES}),
    "ViT": ("ViTBackbone", {**_TRANSFORMER, "hidden_dim": 16, "mlp_dim": 32}),
    "ViTDet": ("ViTDetBackbone", _VITDET),
    "Xception": (
        "XceptionBackbone",
        {"stackwise_conv_filters": [[8, 8], [8, 8]], "stackwise_pooling": [True, False], **_IMAGES},
    ),
}  # fmt: skip


def build(name: str):
    """Returns a backbone, whose image size is fixed, and images for it in the structure of its input."""
    cls, arguments = VISION[name]
    model = getattr(keras_hub.models, cls)(**arguments)
    images = np.random.default_rng(0).normal(size=(2, SIDE, SIDE, 3)).astype("float32")
    return model, dict.fromkeys(model.input, images) if isinstance(model.input, dict) else images
