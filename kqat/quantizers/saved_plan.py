"""What a quantizer was planned as, saved beside its variables, so that no other one takes them."""

import sys
from typing import Any

import keras
import numpy as np

from kqat.core.errors import CheckpointError
from kqat.ops.arrays import as_numpy

KEY = "plan"


def with_plan(quantizer, store: Any) -> None:
    """Adds to a store what the quantizer was planned as: class and width, as bytes."""
    store[KEY] = np.frombuffer(_text(quantizer).encode(), np.uint8)


def without_plan(quantizer, store: Any) -> dict:
    """Returns the rest of a store, if it was written by a quantizer of the same plan.

    Files of version 0.1.0 have no plan; their quantizers take the width that they hold.

    Raises:
        CheckpointError: It was another quantizer or another width. The model is then as it was.
    """
    values = {key: store[key] for key in store.keys()}  # noqa: SIM118  (Keras's stores do not iterate)
    saved = values.pop(KEY, None)
    transaction = _Loading.of(quantizer)
    if saved is None or (text := bytes(np.asarray(saved, np.uint8)).decode()) == _text(quantizer):
        return values
    raise transaction.refused(
        CheckpointError(
            f"The weights belong to a model of another plan. Received: {text} for the quantizer "
            f"'{quantizer.path}' of {_text(quantizer)}. Quantize the model with the bits and quantizers that "
            "it was saved with."
        )
    )


def _text(quantizer) -> str:
    return f"{quantizer.planned_bits} bits {type(quantizer).__name__}"


class _Loading:
    """One call of Keras's `load_weights`: what the weights were before it.

    Keras loads object after object, collects errors and goes on. Its loader is found on the call stack; a
    store that answers no more is what ends the loading at once.

    Args:
        store: The store that Keras reads from, or `None` outside of `load_weights`.
        model: What it loads.
    """

    def __init__(self, store=None, model=None):
        self.store = store
        variables = [] if model is None else model.variables
        self.before = [(variable, np.array(as_numpy(variable))) for variable in variables]

    @classmethod
    def of(cls, quantizer) -> "_Loading":
        """Returns the loading that goes on now."""
        frame, store, model = sys._getframe(1), None, quantizer
        while frame is not None:
            found = frame.f_locals.get("weights_store") if frame.f_code.co_name == "_load_state" else None
            if found is not None and frame.f_locals.get("skip_mismatch"):
                return cls()
            if found is not None:
                store, model = found, frame.f_locals["saveable"]
            frame = frame.f_back
        if store is None or not isinstance(model, keras.Model):
            return cls()
        if not isinstance(vars(store).get("kqat_loading"), cls):
            store.kqat_loading = cls(store, model)
        return store.kqat_loading

    def refused(self, error: CheckpointError) -> CheckpointError:
        """Puts the weights back, ends the loading, and returns `error`."""
        for variable, value in self.before:
            variable.assign(value)

        def get(*args, **kwargs):
            self.store.close()  # not before: Keras passes a closed store over without a word
            raise error

        if self.store is not None:
            self.store.get = get
        return error
