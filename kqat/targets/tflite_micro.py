"""tflite-micro: what its interpreter runs.

The operators of `tensorflow/lite/micro/micro_mutable_op_resolver.h` in tensorflow/tflite-micro, and
their types as tried with the Python package tflite-micro 0.dev20261023 on a file for each operator that
kqat writes. Its kernels round differently from XNNPACK's: in those files 0 to 5 % of the values behind one
int8 convolution or dense layer were one step off; the int16 kernels, dense layers aside, gave equal bits.
"""

from kqat.targets.target import Target

_EVERY = frozenset({"float32", "int8", "int16"})
_NARROW = frozenset({"float32", "int8"})
_FLOAT = frozenset({"float32"})
_KERNELS: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D",
         "DEQUANTIZE", "FULLY_CONNECTED", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN",
         "MINIMUM", "MUL", "PAD", "RELU", "RELU6", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX",
         "STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE", "TRANSPOSE_CONV"),
        _EVERY,
    ),
    "ADD": _EVERY | {"int32"},  # a table lookup computes its index in int32
    "QUANTIZE": _EVERY | {"uint8"},
    **dict.fromkeys(("ELU", "HARD_SWISH", "PRELU", "REDUCE_MAX", "RESIZE_BILINEAR"), _NARROW),
    **dict.fromkeys(("CAST", "GATHER"), _NARROW | {"int32"}),
    **dict.fromkeys(("ABS", "COS", "EXP", "LOG", "NEG", "RSQRT", "SIN", "SQRT", "SQUARE"), _FLOAT),
}  # fmt: skip
_REMEDIES = {
    "GELU": "Use relu, silu or hard_swish in its place.",
    "EMBEDDING_LOOKUP": "Look the rows up outside of the model.",
}

TFLITE_MICRO = Target(
    "tflite-micro",
    kernels=_KERNELS,
    remedies=_REMEDIES,
    packed=dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), frozenset({3, 4})),  # weights per channel, INT4
    notes=("tflite-micro rounds differently from the model: results may be a few steps off",),
    source="micro_mutable_op_resolver.h, and a file for each operator on tflite-micro 0.dev20261023",
)
