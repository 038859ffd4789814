"""Everything that kqat raises and warns of, to catch by name: `except kqat.errors.PlanError`.

Threads: may share what was raised; nothing changes it.
"""

from kqat.core.errors import (
    BusyError,
    CheckpointError,
    ConversionError,
    DataError,
    ExportError,
    FallbackWarning,
    FileError,
    KqatError,
    KqatWarning,
    LegacyKerasError,
    NotCalibratedError,
    NotCalibratedWarning,
    NothingQuantizedWarning,
    PlanError,
    SharedGridWarning,
    SimulationWarning,
    TraceError,
    TrainingMethodsWarning,
    UnmatchedPatternError,
    UnsupportedError,
    VerifyError,
)

__all__ = [
    "BusyError",
    "CheckpointError",
    "ConversionError",
    "DataError",
    "ExportError",
    "FallbackWarning",
    "FileError",
    "KqatError",
    "KqatWarning",
    "LegacyKerasError",
    "NotCalibratedError",
    "NotCalibratedWarning",
    "NothingQuantizedWarning",
    "PlanError",
    "SharedGridWarning",
    "SimulationWarning",
    "TraceError",
    "TrainingMethodsWarning",
    "UnmatchedPatternError",
    "UnsupportedError",
    "VerifyError",
]
