"""Says at once when two threads change one model."""

import functools
import threading
from weakref import WeakKeyDictionary

from kqat.core.errors import BusyError

_LOCK = threading.Lock()
_CHANGING: WeakKeyDictionary = WeakKeyDictionary()  # model: thread and function that changes it


def changes(position: int, name: str):
    """Returns a decorator for functions that change a model, on which nobody else may work meanwhile.

    Args:
        position: Which argument the model is.
        name: Its name.

    Raises:
        BusyError: When the function is called while another thread is in such a function with the same model.
    """

    def decorate(function):
        @functools.wraps(function)
        def alone(*args, **kwargs):
            model = args[position] if len(args) > position else kwargs.get(name)
            begun = _begin(model, function.__name__)
            try:
                return function(*args, **kwargs)
            finally:
                if begun:
                    with _LOCK:
                        del _CHANGING[model]

        return alone

    return decorate


def _begin(model, what: str) -> bool:
    """Marks a model; tells whether it was not marked by this thread already."""
    with _LOCK:
        try:
            found = _CHANGING.get(model)
        except TypeError:  # no model: the function says so
            return False
        if found is None:
            _CHANGING[model] = (threading.get_ident(), what)
            return True
    if found[0] == threading.get_ident():
        return False
    raise BusyError(
        f"Another thread is changing the model. Received: {what} during {found[1]}, model "
        f"'{getattr(model, 'name', model)}'. Use one after the other, or a model for each thread."
    )
