"""A model that one thread changes is not changed by another one."""

import threading

import pytest

from kqat.core.errors import BusyError
from kqat.core.exclusive import changes


class Model:
    name = "net"


@changes(1, "model")
def change(how, model):
    """Does something."""
    return how()


@changes(0, "model")
def improve(model):
    return change(lambda: "changed", model=model)


def test_another_thread_is_refused_at_once():
    model, came, done = Model(), threading.Event(), threading.Event()
    thread = threading.Thread(target=change, args=(lambda: (came.set(), done.wait(10)), model))
    thread.start()
    came.wait(10)
    with pytest.raises(BusyError, match=r"Received: improve during change, model 'net'. Use one after"):
        improve(model)
    assert improve(Model()) == "changed"
    done.set()
    thread.join()
    assert improve(model) == "changed"


def test_one_thread_may_nest_and_errors_end_it():
    model = Model()
    assert improve(model) == "changed"
    with pytest.raises(KeyError):
        change({}.popitem, model)
    assert improve(model) == "changed"


@pytest.mark.parametrize("thing", [None, 3, "model", [1]])
def test_what_is_no_model_is_the_functions_business(thing):
    assert change(lambda: 1, thing) == 1
    assert change.__doc__ == "Does something."
