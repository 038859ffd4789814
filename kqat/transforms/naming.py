"""Names of layers."""

import re
from collections import Counter
from itertools import count


def snake_case(name: str) -> str:
    """Returns `some_name` for `SomeName`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def rename(paths, taken=()) -> dict[str, str]:
    """Returns a layer name for each path: the last part where that is unique, else the joined path.

    Args:
        paths: Paths, repetitions allowed.
        taken: Names that are in use already.
    """
    paths = list(dict.fromkeys(paths))
    last = {path: path.rsplit("/", 1)[-1] for path in paths}
    counts = Counter([*last.values(), *taken])
    used = {*taken}
    names: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: "/" in path):  # names at the top of the model stay
        wish = last[path] if counts[last[path]] == 1 else path.replace("/", "_")
        names[path] = unused(wish, used)
        used.add(names[path])
    return {path: names[path] for path in paths}


def unused(name: str, used) -> str:
    """Returns `name`, numbered if it is in `used`."""
    numbered = (f"{name}_{i}" for i in count(1))
    return name if name not in used else next(n for n in numbered if n not in used)
