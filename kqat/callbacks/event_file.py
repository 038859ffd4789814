"""Writes scalars for TensorBoard, without TensorFlow or TensorBoard installed."""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK_DELTA = 0xA282EAD8


def _table():
    entries = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        entries.append(value)
    return entries


_TABLE = _table()


class EventFile:
    """A new event file in a folder, which is created where it does not exist.

    Args:
        folder: Log folder, as given to `tensorboard --logdir`.
    """

    def __init__(self, folder: str | os.PathLike):
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        # Two files of one process and second must not meet.
        unique = f"{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
        self.path = path / f"events.out.tfevents.{int(time.time()):010d}.{unique}.kqat"
        self._file = open(self.path, "xb")  # noqa: SIM115 - closed by `close`
        self._write(_text(3, "brain.Event:2"))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Appends one value for each tag.

        Args:
            values: Value by tag; a `/` in a tag groups.
            step: Place on the horizontal axis, from 0 up.
        """
        summary = b"".join(
            _bytes(1, _text(1, tag) + b"\x15" + struct.pack("<f", value)) for tag, value in values.items()
        )
        self._write(b"\x10" + _varint(step) + _bytes(5, summary))
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, event: bytes) -> None:
        """Appends a record: length, its checksum, the event with the time, its checksum."""
        event = b"\x09" + struct.pack("<d", time.time()) + event
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))


def _checksum(data: bytes) -> bytes:
    """Returns the masked CRC-32C that TFRecord files carry."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    rotated = (crc >> 15) | (crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _MASK_DELTA) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _bytes(field: int, content: bytes) -> bytes:
    """Returns a length-delimited protobuf field."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())
