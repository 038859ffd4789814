"""Runs a function in a process of its own, which may fail, hang or crash without harm."""

import multiprocessing
from collections.abc import Callable
from typing import Any

# A server imports Keras, kqat and, for Keras, TensorFlow once; what is started is forked from it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["benchmarks.published.measure", "tensorflow"])


def apart(function: Callable, *arguments, limit: float) -> Any:
    """Returns what a function of a module returns, or a text that says how its process ended.

    Args:
        function: A function that can be pickled.
        *arguments: Its arguments.
        limit: Seconds that it may take.
    """
    here, there = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_answer, args=(there, function, arguments))
    process.start()
    there.close()
    try:
        if not here.poll(limit):
            return f"not done after {limit:.0f} s"
        return here.recv()
    except EOFError:
        process.join()
        return f"its process ended with status {process.exitcode}"
    finally:
        process.kill()
        process.join()


def _answer(pipe, function, arguments) -> None:
    pipe.send(function(*arguments))
    pipe.close()
