"""Damage to files and documents, by a seeded random generator."""

import copy
import io
import json
import zipfile

STRANGE = (None, True, -1, 0, 1, 2**31, 2**63, 1e308, float("nan"), "", "x", "\u0000", [], {}, [[]], [0] * 40)


def damaged_bytes(content: bytes, rng) -> bytes:
    """Returns bytes with one to four changes: other values, cut, repeated, or numbers at the edge."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        kind, place = rng.integers(0, 6), int(rng.integers(0, max(len(data), 1)))
        if kind <= 1:
            data[place : place + 1] = bytes([rng.integers(0, 256)])
        elif kind == 2:
            edge = rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFFFFF0, 255, 65536])
            data[place : place + 4] = int(edge).to_bytes(4, "little")
        elif kind == 3:
            data[place : place + 8] = rng.bytes(8)
        elif kind == 4 and rng.random() < 0.3:
            del data[place:]
        else:
            size = int(rng.integers(1, 64))
            data[place : place + size] = data[place // 2 : place // 2 + size]
    return bytes(data)


def damaged_json(value, rng):
    """Returns a JSON value with one to three parts replaced, removed, repeated or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(rng.integers(1, 4)):
        places = list(_places(value))
        if not places:
            return STRANGE[rng.integers(0, len(STRANGE))]
        holder, key = places[rng.integers(0, len(places))]
        kind = rng.integers(0, 5)
        if kind <= 1:
            holder[key] = copy.deepcopy(STRANGE[rng.integers(0, len(STRANGE))])
        elif kind == 2:
            del holder[key]
        elif kind == 3 and isinstance(holder[key], int | float):
            holder[key] = holder[key] * int(rng.choice([-1, 2, 1000, 10**9]))
        else:
            other, name = places[rng.integers(0, len(places))]
            holder[key] = copy.deepcopy(other[name])
    return value


def _places(value):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def damaged_archive(content: bytes, rng) -> bytes:
    """Returns a zip archive with one damaged part and right checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    name = list(parts)[rng.integers(0, len(parts))]
    if name.endswith(".json") and rng.random() < 0.9:
        parts[name] = json.dumps(damaged_json(json.loads(parts[name]), rng)).encode()
    else:
        parts[name] = damaged_bytes(parts[name], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return stream.getvalue()
