"""A `.tflite` file as a C header, for devices without a file system."""

import re
from pathlib import Path
from typing import Any

from kqat.core.version import __version__
from kqat_runtime.files.atomic import write_atomically
from kqat_runtime.files.reading import read_file
from kqat_runtime.packing.expand import expand_file
from kqat_runtime.running.structure import check_structure

_BYTES_A_LINE = 12
_RESERVED = """
    alignas alignof and asm auto bool break case catch char class const constexpr continue default delete do
    double else enum explicit export extern false float for friend goto if inline int long mutable namespace
    new not nullptr operator or private protected public register restrict return short signed sizeof static
    struct switch template this throw true try typedef typename union unsigned using virtual void volatile
    while xor
"""


def export_c_array(tflite: Any, path: str | Path, name: str | None = None) -> Path:
    """Writes a `.tflite` file as a header that C and C++ compile into constant data.

    The header defines `alignas(16) static const unsigned char NAME[]` and its length,
    `NAME_len`.

    Args:
        tflite: What `export_tflite` returned, or the bytes or the path of a file.
        path: Where to write the header; it appears whole or not at all.
        name: Name of the array, made an identifier where it is none; by default the header's own name.

    Returns:
        The path of the header.

    Threads: may call it at any time.

    Raises:
        FileError: The bytes are not a sound `.tflite` file.
        ValueError: The name has no letter or digit to make an identifier of.
        OSError: The header could not be written; nothing is left behind.

    Example:
        >>> import keras, kqat, numpy as np, pathlib, tempfile
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> q = kqat.calibrate(kqat.quantize(model), np.ones((1, 4), "float32"), verbose=0)
        >>> header = kqat.export_c_array(kqat.export_tflite(q), pathlib.Path(tempfile.mkdtemp(), "my-net.h"))
        >>> "alignas(16) static const unsigned char my_net[]" in header.read_text()
        True
    """
    content = read_file(tflite)
    check_structure(expand_file(content))
    return write_atomically(path, _header(content, _identifier(Path(path).stem if name is None else name)))


def _identifier(name: str) -> str:
    """Returns a name as an identifier of both C and C++."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    if not words:
        raise ValueError(f"This cannot be the name of an array. Received: name={name!r}. Use name='model'.")
    joined = "_".join(words)
    return f"model_{joined}" if joined[0].isdigit() or joined in _RESERVED.split() else joined


def _header(content: bytes, name: str) -> bytes:
    guard = f"{name.upper()}_H_"
    lines = [
        f"// Made by kqat {__version__} from a .tflite file of {len(content)} bytes. Do not edit.",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#ifndef __cplusplus",
        "#include <stdalign.h>",
        "#endif",
        "",
        f"alignas(16) static const unsigned char {name}[] = {{",
        *_rows(content),
        "};",
        f"static const unsigned int {name}_len = {len(content)};",
        "",
        f"#endif  // {guard}",
        "",
    ]
    return "\n".join(lines).encode()


def _rows(content: bytes) -> list[str]:
    texts = [f"0x{byte:02x}," for byte in range(256)]
    size = _BYTES_A_LINE
    return [
        "    " + " ".join([texts[byte] for byte in content[start : start + size]])
        for start in range(0, len(content), size)
    ]
