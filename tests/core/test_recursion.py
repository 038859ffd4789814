"""The recursion limit of the process is what it was, whatever threads do."""

import sys
import threading

import pytest

from kqat.core.recursion import deep_recursion


@pytest.fixture(autouse=True)
def limit():
    before = sys.getrecursionlimit()
    yield before
    assert sys.getrecursionlimit() == before


def test_contexts_within_each_other():
    with deep_recursion():
        with deep_recursion():
            assert sys.getrecursionlimit() == 20_000
        assert sys.getrecursionlimit() == 20_000


def test_threads_that_overlap_keep_the_room_until_the_last_is_done(limit):
    """The first that comes goes first, which is where saving and restoring by each thread goes wrong."""
    came, gone = threading.Event(), threading.Event()
    seen = []

    def first():
        with deep_recursion():
            came.wait(5)
        gone.set()

    def second():
        with deep_recursion():
            came.set()
            gone.wait(5)
            seen.append(sys.getrecursionlimit())

    threads = [threading.Thread(target=first)]
    threads[0].start()
    while sys.getrecursionlimit() == limit:
        pass
    threads.append(threading.Thread(target=second))
    threads[1].start()
    for thread in threads:
        thread.join()
    assert seen == [20_000]


def test_many_threads():
    def work():
        for _ in range(200):
            with deep_recursion():
                assert sys.getrecursionlimit() == 20_000

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_limit_that_is_set_inside_stays(limit):
    with deep_recursion():
        sys.setrecursionlimit(30_000)
    assert sys.getrecursionlimit() == 30_000
    sys.setrecursionlimit(limit)


def test_an_error_inside():
    with pytest.raises(KeyError), deep_recursion():
        raise KeyError
