"""Rows for what `keras.ops` exports."""

import numpy as np
from keras import ops

from benchmarks.operations.images import IMAGES
from benchmarks.operations.row import IMAGE, SEQUENCE, VECTOR, Row, one, words

_SQUARE = (3, 3)
# Functions that make no operation of a model, with the reason.
NOT_IN_MODELS = {
    **dict.fromkeys(
        words(
            "arange array bartlett blackman empty eye full geomspace hamming hanning kaiser identity "
            "linspace logspace meshgrid ones zeros tri"
        ),
        "makes a tensor of numbers",
    ),
    **dict.fromkeys(
        words(
            "associative_scan cond custom_gradient fori_loop jvp map scan switch vectorize vectorized_map "
            "while_loop"
        ),
        "runs functions",
    ),
    **dict.fromkeys(
        words("convert_to_numpy convert_to_tensor dtype is_tensor ndim shape size"),
        "says something of a tensor",
    ),
    **dict.fromkeys(
        words("binary_crossentropy categorical_crossentropy ctc_loss sparse_categorical_crossentropy psnr"),
        "a loss",
    ),
    **dict.fromkeys(words("image linalg nn numpy"), "a module"),
    **dict.fromkeys(words("nonzero unique"), "returns tensors of a size that depends on values"),
    **dict.fromkeys(
        words("angle conj conjugate imag polar real view_as_complex view_as_real ifft2 irfft istft view"),
        "is about complex numbers, or about the bytes of a tensor",
    ),
}

_REAL = words("""
    abs absolute arccosh arcsinh arctan cbrt ceil celu copy cos cosh deg2rad elu erf erfc exp exp2 expm1
    fabs floor gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh i0 isfinite isinf
    isnan isneginf isposinf isreal
    leaky_relu log_sigmoid log_softmax mish nan_to_num negative rad2deg ravel relu relu6 round selu
    sigmoid sign signbit silu sin sinc sinh soft_shrink softmax softplus softsign sparse_plus
    sparse_sigmoid sparsemax square squareplus stop_gradient swish tan tanh tanh_shrink trunc
    zeros_like ones_like empty_like glu threshold
""")
_POSITIVE = words("log log10 log1p log2 sqrt rsqrt reciprocal")
_BETWEEN = words("arcsin arccos arctanh erfinv")
_PAIRS = words("""
    add subtract multiply maximum minimum divide true_divide divide_no_nan floor_divide mod fmod fmax fmin
    arctan2 hypot
    logaddexp logaddexp2 equal not_equal greater greater_equal less less_equal isclose heaviside
    nextafter ldexp
""")
_REDUCED = words("""
    sum mean max min amax amin prod var std median logsumexp argmax argmin ptp count_nonzero all any
    nanargmax nanargmin nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar norm
""")
_AXIS = words("""
    cumsum cumprod sort argsort flip diff normalize nancumprod nancumsum
""")
_WHOLE_PAIRS = words("""
    bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift left_shift right_shift gcd lcm
    logical_and logical_or logical_xor
""")
_WHOLE = words("bitwise_invert bitwise_not logical_not")
_LINEAR = words("cholesky cholesky_inverse det eig eigh inv lu_factor pinv qr svd slogdet logdet matrix_rank")


def _definite(x):
    """Returns matrices that have a root: `x x' + 1`."""
    return ops.add(ops.matmul(x, ops.transpose(x, (0, 2, 1))), np.eye(3, dtype="float32"))


def _f(name: str):
    return getattr(ops, name)


_UNARY = {
    **{n: one(lambda n=n: _f(n)) for n in _REAL},
    **{n: one(lambda n=n: lambda x: _f(n)(ops.add(ops.relu(x), 0.5))) for n in _POSITIVE},
    **{n: one(lambda n=n: lambda x: _f(n)(ops.clip(x, -0.9, 0.9))) for n in _BETWEEN},
    **{n: one(lambda n=n: _f(n), dtype="int32") for n in _WHOLE},
    **{n: one(lambda n=n: lambda x: _f(n)(x, axis=1), SEQUENCE) for n in (*_REDUCED, *_AXIS)},
    "threshold": one(lambda: lambda x: ops.threshold(x, 0.2, -0.3)),
    "clip": one(lambda: lambda x: ops.clip(x, -0.5, 1.0)),
    "power": one(lambda: lambda x: ops.power(x, 2)),
    "power, of two tensors": Row(lambda a, b: ops.power(ops.add(ops.sigmoid(a), 0.5), b), (VECTOR, VECTOR)),
    "cast": one(lambda: lambda x: ops.cast(x > 0, "float32")),
    "saturate_cast": one(lambda: lambda x: ops.saturate_cast(x, "int8")),
    "arccosh": one(lambda: lambda x: ops.arccosh(ops.add(ops.relu(x), 1.5))),
    "logical_not": one(lambda: lambda x: ops.logical_not(x > 0)),
    "view": one(lambda: lambda x: ops.view(x, "int32")),
    "digitize": one(lambda: lambda x: ops.digitize(x, np.array([-0.5, 0.0, 1.0]))),
    "softmax, axis=1": one(lambda: lambda x: ops.softmax(x, axis=1), SEQUENCE),
    "softmax, axis=(1, 2)": one(lambda: lambda x: ops.softmax(x, axis=(1, 2)), IMAGE),
    "log_softmax, axis=(1, 2)": one(lambda: lambda x: ops.log_softmax(x, axis=(1, 2)), IMAGE),
    "norm, ord=1": one(lambda: lambda x: ops.norm(x, ord=1, axis=-1), SEQUENCE),
    "norm, ord=inf": one(lambda: lambda x: ops.norm(x, ord=np.inf, axis=-1), SEQUENCE),
    "norm, of matrices": one(lambda: lambda x: ops.norm(x, axis=(1, 2), keepdims=True), SEQUENCE),
    "normalize, order=1": one(lambda: lambda x: ops.normalize(x, axis=-1, order=1), SEQUENCE),
    "argmax, last axis": one(lambda: lambda x: ops.argmax(x, axis=-1), SEQUENCE),
}
_BINARY = {
    **{n: Row(lambda a, b, n=n: _f(n)(a, b), (VECTOR, VECTOR)) for n in _PAIRS},
    **{n: Row(lambda a, b, n=n: _f(n)(a, b), (VECTOR, VECTOR), "int32") for n in _WHOLE_PAIRS},
    **{
        n: Row(lambda a, b, n=n: _f(n)(a > 0, b > 0), (VECTOR, VECTOR))
        for n in ("logical_and", "logical_or", "logical_xor")
    },
    "ldexp": Row(lambda a: ops.ldexp(a, np.arange(8)), (VECTOR,)),
    "divide": Row(lambda a, b: ops.divide(a, ops.add(ops.sigmoid(b), 0.5)), (VECTOR, VECTOR)),
    "true_divide": Row(lambda a, b: ops.true_divide(a, ops.add(ops.sigmoid(b), 0.5)), (VECTOR, VECTOR)),
    "allclose": Row(lambda a, b: ops.allclose(a, b), (VECTOR, VECTOR)),
    "where": Row(lambda a, b: ops.where(a > 0, a, b), (VECTOR, VECTOR)),
    "select": Row(lambda a, b: ops.select([a > 0.5, a < -0.5], [a, b], 0.0), (VECTOR, VECTOR)),
    "isin": Row(lambda a: ops.isin(a, [1, 3]), (VECTOR,), "int32"),
    "matmul": Row(ops.matmul, (SEQUENCE, (8, 5))),
    "dot": Row(lambda a: ops.dot(a, np.ones((8, 3), "float32")), (VECTOR,)),
    "einsum": Row(lambda a, b: ops.einsum("bij,bjk->bik", a, b), (SEQUENCE, (8, 5))),
    "inner": Row(lambda a: ops.inner(a, np.ones((3, 8), "float32")), (VECTOR,)),
    "outer": Row(lambda a, b: ops.outer(a, b), (VECTOR, VECTOR)),
    "vdot": Row(ops.vdot, (VECTOR, VECTOR)),
    "tensordot": Row(lambda a: ops.tensordot(a, np.ones((8, 3), "float32"), axes=1), (SEQUENCE,)),
    "kron": Row(lambda a: ops.kron(a, np.ones((1, 2), "float32")), (VECTOR,)),
    "cross": Row(ops.cross, ((4, 3), (4, 3))),
    "cdist": Row(lambda a, b: ops.cdist(a, b), (SEQUENCE, SEQUENCE)),
    "average": Row(lambda a: ops.average(a, axis=-1, weights=np.arange(1.0, 9.0)), (SEQUENCE,)),
    "correlate": Row(lambda a, b: ops.correlate(a, b), ((), ())),
    "corrcoef": Row(ops.corrcoef, (VECTOR,)),
    "in_top_k": Row(lambda a: ops.in_top_k(ops.argmax(a, axis=-1), a, 2), (VECTOR,)),
    "histogram": Row(lambda a: ops.histogram(a)[0], (VECTOR,)),
    "trapezoid": Row(lambda a: ops.trapezoid(a, axis=1), (SEQUENCE,)),
    "vander": Row(lambda a: ops.vander(ops.reshape(a, (-1,)), 3), (VECTOR,)),
}
_MOVING = {
    "append": Row(lambda a, b: ops.append(a, b, axis=1), (VECTOR, VECTOR)),
    "concatenate": Row(lambda a, b: ops.concatenate([a, b], axis=-1), (VECTOR, VECTOR)),
    "stack": Row(lambda a, b: ops.stack([a, b], axis=1), (VECTOR, VECTOR)),
    "hstack": Row(lambda a, b: ops.hstack([a, b]), (VECTOR, VECTOR)),
    "dstack": Row(lambda a, b: ops.dstack([a, b]), (SEQUENCE, SEQUENCE)),
    "vstack": Row(lambda a, b: ops.vstack([a, b]), (VECTOR, VECTOR)),
    "array_split": one(lambda: lambda x: ops.array_split(x, 3, axis=1), SEQUENCE),
    "split": one(lambda: lambda x: ops.split(x, 3, axis=1), SEQUENCE),
    "hsplit": one(lambda: lambda x: ops.hsplit(x, 2), SEQUENCE),
    "vsplit": one(lambda: lambda x: ops.vsplit(x, 2), SEQUENCE),
    "dsplit": one(lambda: lambda x: ops.dsplit(x, 2), SEQUENCE),
    "unstack": one(lambda: lambda x: ops.unstack(x, axis=1), SEQUENCE),
    "broadcast_to": one(lambda: lambda x: ops.broadcast_to(x, (-1, 8))),
    "diag": one(lambda: ops.diag, (3,)),
    "diagflat": one(lambda: ops.diagflat, (3,)),
    "diagonal": one(lambda: lambda x: ops.diagonal(x, axis1=1, axis2=2), SEQUENCE),
    "trace": one(lambda: lambda x: ops.trace(x, axis1=1, axis2=2), SEQUENCE),
    "tril": one(lambda: ops.tril, SEQUENCE),
    "triu": one(lambda: ops.triu, SEQUENCE),
    "expand_dims": one(lambda: lambda x: ops.expand_dims(x, 1)),
    "squeeze": one(lambda: lambda x: ops.squeeze(ops.expand_dims(x, 1), 1)),
    "fliplr": one(lambda: ops.fliplr, SEQUENCE),
    "flipud": one(lambda: ops.flipud, SEQUENCE),
    "rot90": one(lambda: lambda x: ops.rot90(x, axes=(1, 2)), IMAGE),
    "roll": one(lambda: lambda x: ops.roll(x, 2, axis=1), SEQUENCE),
    "moveaxis": one(lambda: lambda x: ops.moveaxis(x, 1, 2), SEQUENCE),
    "swapaxes": one(lambda: lambda x: ops.swapaxes(x, 1, 2), SEQUENCE),
    "transpose": one(lambda: lambda x: ops.transpose(x, (0, 2, 1)), SEQUENCE),
    "rearrange": one(lambda: lambda x: ops.rearrange(x, "b (h w) c -> b h (w c)", h=2), SEQUENCE),
    "reshape": one(lambda: lambda x: ops.reshape(x, (-1, 8, 6)), SEQUENCE),
    "repeat": one(lambda: lambda x: ops.repeat(x, 2, axis=1), SEQUENCE),
    "tile": one(lambda: lambda x: ops.tile(x, (1, 2, 1)), SEQUENCE),
    "pad": one(lambda: lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0))), SEQUENCE),
    "pad, a number": one(
        lambda: lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0)), constant_values=0.5), SEQUENCE
    ),
    "pad, reflect": one(lambda: lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0)), mode="reflect"), SEQUENCE),
    "get_item": one(lambda: lambda x: x[:, 1:4], SEQUENCE),
    "slice": one(lambda: lambda x: ops.slice(x, (0, 1, 0), (16, 3, 8)), SEQUENCE),
    "slice_update": Row(
        lambda a, b: ops.slice_update(a, (0, 2), ops.slice(b, (0, 0), (16, 3))), (VECTOR, VECTOR)
    ),
    "take": one(lambda: lambda x: ops.take(x, [2, 0], axis=1), SEQUENCE),
    "take_along_axis": one(
        lambda: lambda x: ops.take_along_axis(x, ops.argmax(x, axis=1, keepdims=True), axis=1), SEQUENCE
    ),
    "top_k": one(lambda: lambda x: ops.top_k(x, 3)),
    "argpartition": one(lambda: lambda x: ops.argpartition(x, 3)),
    "one_hot": one(lambda: lambda x: ops.one_hot(x, 8), (6,), dtype="int32"),
    "multi_hot": one(lambda: lambda x: ops.multi_hot(x, 8), (6,), dtype="int32"),
    "scatter": one(lambda: lambda x: ops.scatter(np.array([[1]]), x[:1], (3, 8))),
    "scatter_update": one(lambda: lambda x: ops.scatter_update(x, [[0, 1]], [0.5])),
    "full_like": one(lambda: lambda x: ops.add(x, ops.full_like(x, 0.5))),
    "searchsorted": one(lambda: lambda x: ops.searchsorted(np.arange(4.0), ops.reshape(x, (-1,)))),
    "bincount": one(lambda: lambda x: ops.bincount(x, minlength=8), (6,), dtype="int32"),
    "unravel_index": one(lambda: lambda x: ops.unravel_index(x, (2, 4)), (6,), dtype="int32"),
    "percentile": one(lambda: lambda x: ops.percentile(x, 30, axis=1), SEQUENCE),
    "nanpercentile": one(lambda: lambda x: ops.nanpercentile(x, 30, axis=1), SEQUENCE),
    "quantile": one(lambda: lambda x: ops.quantile(x, 0.3, axis=1), SEQUENCE),
    "nanquantile": one(lambda: lambda x: ops.nanquantile(x, 0.3, axis=1), SEQUENCE),
    "segment_max": one(lambda: lambda x: ops.segment_max(x, np.arange(16) // 2, 8)),
    "segment_min": one(lambda: lambda x: ops.segment_min(x, np.arange(16) // 2, 8)),
    "segment_prod": one(lambda: lambda x: ops.segment_prod(x, np.arange(16) // 2, 8)),
    "segment_sum": one(lambda: lambda x: ops.segment_sum(x, np.arange(16) // 2, 8)),
}
_NN = {
    "adaptive_average_pool": one(lambda: lambda x: ops.adaptive_average_pool(x, (2, 2)), IMAGE),
    "adaptive_max_pool": one(lambda: lambda x: ops.adaptive_max_pool(x, (2, 2)), IMAGE),
    "average_pool": one(lambda: lambda x: ops.average_pool(x, 2), IMAGE),
    "max_pool": one(lambda: lambda x: ops.max_pool(x, 2), IMAGE),
    "batch_normalization": one(
        lambda: lambda x: ops.batch_normalization(x, np.arange(8.0), np.arange(1.0, 9.0), axis=-1)
    ),
    "layer_normalization": one(lambda: lambda x: ops.layer_normalization(x)),
    "rms_normalization": one(lambda: lambda x: ops.rms_normalization(x)),
    "moments": one(lambda: lambda x: ops.moments(x, axes=1), SEQUENCE),
    "conv": one(lambda: lambda x: ops.conv(x, np.ones((2, 2, 4, 3), "float32")), IMAGE),
    "conv_transpose": one(
        lambda: lambda x: ops.conv_transpose(x, np.ones((2, 2, 3, 4), "float32"), 2), IMAGE
    ),
    "depthwise_conv": one(lambda: lambda x: ops.depthwise_conv(x, np.ones((2, 2, 4, 1), "float32")), IMAGE),
    "separable_conv": one(
        lambda: (
            lambda x: ops.separable_conv(
                x, np.ones((2, 2, 4, 1), "float32"), np.ones((1, 1, 4, 3), "float32")
            )
        ),
        IMAGE,
    ),
    "dot_product_attention": Row(lambda q, k, v: ops.dot_product_attention(q, k, v), ((6, 2, 4),) * 3),
    "depth_to_space": one(lambda: lambda x: ops.depth_to_space(x, 2), IMAGE),
    "space_to_depth": one(lambda: lambda x: ops.space_to_depth(x, 2), IMAGE),
    "ctc_decode": one(lambda: lambda x: ops.ctc_decode(x, np.full((16,), 6)), SEQUENCE),
    "unfold": one(lambda: lambda x: ops.unfold(x, 2), (4, 6, 6)),
    "fold": one(lambda: lambda x: ops.fold(x, (4, 4), 2, stride=2), (8, 4)),
    "extract_sequences": one(lambda: lambda x: ops.extract_sequences(x, 4, 2)),
    "fft": Row(lambda a, b: ops.fft((a, b)), (VECTOR, VECTOR)),
    "fft2": Row(lambda a, b: ops.fft2((a, b)), (SEQUENCE, SEQUENCE)),
    "rfft": one(lambda: ops.rfft),
    "stft": one(lambda: lambda x: ops.stft(x, 8, 4, 8), (32,)),
}
_LINALG = {
    **{n: one(lambda n=n: lambda x: _f(n)(_definite(x)), _SQUARE) for n in _LINEAR},
    "solve": one(lambda: lambda x: ops.solve(_definite(x), x), _SQUARE),
    "solve_triangular": one(lambda: lambda x: ops.solve_triangular(ops.cholesky(_definite(x)), x), _SQUARE),
    "lstsq": one(lambda: lambda x: ops.lstsq(np.eye(16, 3, dtype="float32"), x), (3,)),
}


def exported() -> list[str]:
    """Returns the names of the functions that `keras.ops` and `keras.ops.image` export."""
    top = (n for n in vars(ops) if not n.startswith("_"))
    return sorted([*top, *(f"image.{n}" for n in vars(ops.image) if not n.startswith("_"))])


def _is_here(name: str) -> bool:
    return name.split(",")[0] in exported()


OPERATIONS = {
    f"ops.{name}": row
    for rows in (_UNARY, _BINARY, _MOVING, _NN, _LINALG, {f"image.{n}": r for n, r in IMAGES.items()})
    for name, row in rows.items()
    if _is_here(name)
}
