"""Bounds what weights may be created, for models whose description comes from a file."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import keras


class NoRoomError(Exception):
    """A layer asks for more weights than there is room for."""


@contextmanager
def room_for_weights(count: int) -> Iterator[None]:
    """Returns a context in which the layers that a thread builds have room for so many numbers.

    A description of a few bytes can ask for any memory; a file that holds the weights too cannot hold more
    than it is long. `Layer.add_weight` is where layers ask, before anything is allocated.

    Raises:
        NoRoomError: A layer asks for more.
    """
    token = _ROOM.set([count])
    _WATCHED.enter()
    try:
        yield
    finally:
        _WATCHED.leave()
        _ROOM.reset(token)


_ROOM: ContextVar[list[int] | None] = ContextVar("room", default=None)


class _Watched:
    """Stands in for `Layer.add_weight` while any thread is in a context."""

    def __init__(self):
        self._lock, self._open = threading.Lock(), 0
        self._original = None

    def enter(self) -> None:
        with self._lock:
            if self._open == 0:
                self._original = keras.layers.Layer.add_weight
                keras.layers.Layer.add_weight = _watched(self._original)
            self._open += 1

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                keras.layers.Layer.add_weight = self._original


def _watched(original):
    def add_weight(self, *args, **kwargs):
        room = _ROOM.get()
        if room is not None:
            _take(room, kwargs.get("shape", args[0] if args else ()), self)
        return original(self, *args, **kwargs)

    return add_weight


def _take(room: list[int], shape, layer) -> None:
    sizes = [int(size) for size in (shape if hasattr(shape, "__len__") else (shape,)) if size is not None]
    if len(sizes) > 64 or math.prod(max(size, 0) for size in sizes) > room[0]:
        raise NoRoomError(
            f"layer '{layer.name}' asks for weights of shape {sizes[:8]}, more than the file has numbers for"
        )
    room[0] -= math.prod(max(size, 0) for size in sizes)


_WATCHED = _Watched()
