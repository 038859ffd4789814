"""Looks at a `.keras` file before Keras does."""

import os
import zipfile

from kqat.core.archive import parse_document
from kqat.core.errors import CheckpointError
from kqat_runtime.processes.h5_file import H5Error, check_h5, plain_file_size

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_LARGEST_CONFIG = 2**26  # bytes
_SMALL, _EXPANSION = 2**26, 16  # what a compressed archive may hold: bytes, and times its own size
_MOST_PARTS = 2**16


def stored_numbers(path) -> int:
    """Returns how many weights a file can hold at most, after checking all that can be before Keras does.

    Args:
        path: A `.keras` file, or another one that Keras loads, such as `.h5`.

    Raises:
        CheckpointError: The file cannot be read or is damaged.
    """
    if os.path.isdir(path) or "://" in str(path):
        return 2**62  # what Keras knows besides files; nothing is promised
    try:
        size = plain_file_size(path)
        if zipfile.is_zipfile(path):
            return _zip_numbers(path, size)
        check_h5(path)
        return size
    except H5Error as error:
        raise _damaged(path, str(error)) from error


def _zip_numbers(path, size: int) -> int:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            _check_parts(path, parts, size)
            config = archive.read(_CONFIG)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile trusts its input: any kind of error can come out
        raise _damaged(path, f"no sound archive ({type(error).__name__}: {error})"[:300]) from error
    parse_document(config, _CONFIG)
    if any(part.filename == _WEIGHTS for part in parts):
        check_h5(path, _WEIGHTS)
    return sum(part.file_size for part in parts)


def _check_parts(path, parts, size: int) -> None:
    names = [part.filename for part in parts]
    if len(names) > _MOST_PARTS or len(set(names)) != len(names):
        raise _damaged(path, "too many parts, or two of one name")
    if sum(part.file_size for part in parts) > max(_SMALL, _EXPANSION * size):
        raise _damaged(path, f"parts that expand to far more than its {size} bytes")
    if any(part.filename == _CONFIG and part.file_size > _LARGEST_CONFIG for part in parts):
        raise _damaged(path, f"a '{_CONFIG}' of more than {_LARGEST_CONFIG} bytes")


def _damaged(path, problem: str) -> CheckpointError:
    return CheckpointError(
        f"The file is damaged, or is no model of Keras. Received: '{path}', {problem}. Use a file that "
        "model.save wrote, named x.keras."
    )
