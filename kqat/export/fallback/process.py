"""Runs the converter on TensorFlow: here, or in a process of its own where Keras has another backend."""

import importlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras

from kqat.core.errors import ExportError
from kqat.export.fallback.island import Island

TIMEOUT = 900.0  # seconds; starting TensorFlow takes about 10, an unrolled recurrent layer some minutes
_CONVERTER = "kqat.export.fallback.converter"


def is_elsewhere() -> bool:
    """Tells whether islands are converted in another process than this one."""
    return keras.backend.backend() != "tensorflow"


def convert_all(islands: Sequence[Island], timeout: float = TIMEOUT) -> list[bytes]:
    """Returns the file of each island.

    Args:
        islands: They are converted by one process.
        timeout: Seconds that it may take.

    Raises:
        ExportError: The converter refuses one, or the process fails.
    """
    if not is_elsewhere():
        convert = importlib.import_module(_CONVERTER).convert
        return [convert(island) for island in islands]
    # Read only by the process that is started here, from a folder that no other user can write to.
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job"
        job.write_bytes(pickle.dumps(list(islands)))
        run([sys.executable, "-m", __name__, str(job)], timeout)
        found = pickle.loads(job.with_suffix(".done").read_bytes())
    if isinstance(found, str):
        raise ExportError(found)
    return found


def run(command: list[str], timeout: float) -> None:
    """Runs a command with Keras on TensorFlow.

    Raises:
        ExportError: It fails, or takes too long.
    """
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": path}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"TensorFlow's converter did not end within {timeout:g} seconds. Received: {command[-1]}. "
            "Use KERAS_BACKEND=tensorflow to convert without a limit."
        ) from error
    if done.returncode:
        words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ExportError(
            f"The process of TensorFlow's converter failed (status {done.returncode}): "
            f"{(words or ['it says nothing'])[-1][-500:]} Received: layers that it cannot make again. Use "
            "other layers, or KERAS_BACKEND=tensorflow."
        )


def main(job: str) -> None:
    """Converts the islands of a job file, and leaves the files, or the message of an error, next to it."""
    path = Path(job)
    try:
        found = convert_all(pickle.loads(path.read_bytes()))
    except ExportError as error:
        found = str(error)
    path.with_suffix(".done").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
