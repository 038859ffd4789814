"""What all runtimes have: they are called, used as contexts, and closed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kqat_runtime.errors import FileError

DEFAULT_BATCH = 256


class FileRuntime:
    """A loaded file. Threads may share it: each call gets its own answer, one call computes at a time."""

    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Frees what the file takes."""
        raise NotImplementedError

    def __call__(self, *arrays: np.ndarray, batch_size: int = DEFAULT_BATCH):
        """Returns the output for one array an input: an array, or a list where there are several outputs."""
        outputs = self.run(arrays, batch_size)
        return outputs[0] if len(outputs) == 1 else outputs

    def run(
        self, arrays: np.ndarray | Sequence[np.ndarray], batch_size: int = DEFAULT_BATCH, real: bool = True
    ):
        """Returns the outputs for whole arrays, computed in batches.

        Args:
            arrays: One array an input, first axis the samples: real values, or codes in the stored type. A
                single array is that of a file with one input.
            batch_size: Samples a batch; a file with a fixed batch runs in batches of its own size.
            real: Whether quantized outputs come back as real values instead of codes.

        Raises:
            FileError: Wrong number, shape or type of arrays, or the runtime fails.
        """
        raise NotImplementedError


def listed(arrays: Any) -> list:
    """Returns the arrays that a file is run on as a list: a single array becomes one of one.

    Raises:
        FileError: `arrays` is neither.
    """
    if hasattr(arrays, "shape"):
        return [arrays]
    if isinstance(arrays, list | tuple):
        return list(arrays)
    raise FileError(
        f"A file runs on one array an input. Received: {type(arrays).__name__}. Use a list of NumPy arrays."
    )


def require_inputs(ports, arrays) -> list[np.ndarray]:
    """Returns arrays if they are what the inputs of a file take.

    Raises:
        FileError: There are other arrays, or none of them has a sample.
    """
    arrays = [np.asarray(x) for x in listed(arrays)]
    expected, received = [port.shape for port in ports], [x.shape for x in arrays]
    fits = len(arrays) == len(expected) and all(
        len(r) == len(e) and len(r) > 0 and r[1:] == e[1:] for r, e in zip(received, expected, strict=False)
    )
    if not fits or len({r[0] for r in received}) != 1 or received[0][0] == 0:
        raise FileError(f"The file takes other inputs. Received: shapes {received}. Use {expected}.")
    return arrays


def closed() -> FileError:
    """Returns the error for a runtime that was closed."""
    return FileError("The runtime is closed. Received: a call after `close`. Load the file again.")
