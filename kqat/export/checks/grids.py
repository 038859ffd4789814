"""Every tensor that the model rounds lies on the trained grid."""

import numpy as np

from kqat.formats.tflite.opened import Opened, fail
from kqat.program.program import Program

_CODES = {"int8": (-128, 127), "int16": (-(2**15), 2**15 - 1)}


def check_grids(file: Opened, program: Program) -> None:
    """Compares scale (bit by bit), type and zero point; and that every level has a code."""
    for planned in program.grids:
        tensor, grid = file.tensors[planned.index], planned.grid
        stored = f"int{grid.storage_bits}"
        if tensor.type != stored:
            fail(planned.layer, "another type of its output", stored, tensor.type)
        scale = np.float32(grid.scale)
        if tensor.scale.tobytes() != scale.tobytes():
            fail(planned.layer, "another scale of its output", repr(scale), tensor.scale)
        if tensor.zero_point.tolist() != [planned.zero_point]:
            fail(planned.layer, "another zero point", planned.zero_point, tensor.zero_point)
        low, high = _CODES[stored]
        lowest, highest = (int(level) + planned.zero_point for level in (grid.qmin, grid.qmax))
        if lowest < low or highest > high:
            fail(planned.layer, "levels without a code", f"{low} to {high}", f"{lowest} to {highest}")
