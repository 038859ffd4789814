"""Output sizes of `EinsumDense`, which Keras leaves unknown where the layer's configuration does.

The equation says which dimension of the input each dimension of the output is:
    y.shape[i] = x.shape[j]  where letter i of the output is letter j of the input
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import keras

from kqat.keras_private import layers_of
from kqat.lowering.treatment import is_a


def known_output_shape(op: keras.layers.EinsumDense, input_shape) -> tuple[int | None, ...]:
    """Returns the shape of the output of a projection, with all sizes that its input tells.

    Args:
        op: Built layer.
        input_shape: Shape of its input.
    """
    declared = list(type(op).compute_output_shape(op, input_shape))
    left, _, output = op.equation.replace(" ", "").partition("->")
    letters = left.split(",")[0]
    if "..." in letters or "..." in output:
        return tuple(declared)
    sizes = dict(zip(letters, input_shape, strict=True))
    filled = (
        sizes.get(letter) if size is None else size for letter, size in zip(output, declared, strict=True)
    )
    return tuple(filled)


def known_output_spec(op: keras.Operation, args, kwargs):
    """Returns what `op.compute_output_spec` does, of a projection with all sizes that its input tells."""
    spec = op.compute_output_spec(*args, **kwargs)
    if not is_a(op, keras.layers.EinsumDense) or None not in spec.shape[1:]:
        return spec
    (x,) = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, keras.KerasTensor)]
    return keras.KerasTensor(known_output_shape(op, x.shape), spec.dtype)


@contextmanager
def known_sizes(layer: keras.layers.Layer) -> Iterator[None]:
    """Has symbolic calls of the projections inside a layer return all sizes that are known.

    Args:
        layer: Layer or model.
    """
    found = [part for part in layers_of(layer) if is_a(part, keras.layers.EinsumDense)]
    for part in found:
        vars(part)["compute_output_shape"] = partial(known_output_shape, part)
    try:
        yield
    finally:
        for part in found:
            vars(part).pop("compute_output_shape", None)
