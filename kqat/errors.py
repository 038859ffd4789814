"""Everything that kqat raises and warns of, to catch by name: `except kqat.errors.PlanError`."""

from kqat.core.errors import (
    CheckpointError,
    ConversionError,
    ExportError,
    FallbackWarning,
    FileError,
    KqatError,
    KqatWarning,
    LegacyKerasError,
    NotCalibratedError,
    NothingQuantizedWarning,
    PlanError,
    TraceError,
    TrainingMethodsWarning,
    UnmatchedPatternError,
    VerifyError,
)

__all__ = [
    "CheckpointError",
    "ConversionError",
    "ExportError",
    "FallbackWarning",
    "FileError",
    "KqatError",
    "KqatWarning",
    "LegacyKerasError",
    "NotCalibratedError",
    "NothingQuantizedWarning",
    "PlanError",
    "TraceError",
    "TrainingMethodsWarning",
    "UnmatchedPatternError",
    "VerifyError",
]
