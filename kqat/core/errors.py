"""What kqat raises for its own reasons; wrong arguments are plain `TypeError`, `ValueError`."""

from kqat_runtime.errors import FileError as FileError
from kqat_runtime.errors import KqatError, VerifyError


class PlanError(KqatError, ValueError):
    """What was asked for cannot be planned."""


class UnmatchedPatternError(PlanError):
    """A pattern of a rule matches nothing in the model."""


class TraceError(KqatError, ValueError):
    """A model cannot be turned into a graph."""


class NotCalibratedError(KqatError, RuntimeError):
    """A grid would come from a default instead of data."""


class UnsupportedError(KqatError, NotImplementedError):
    """An operation has no form here, integer or written. Where there is another form, that one is taken."""


class ExportError(KqatError, RuntimeError):
    """A model cannot be written as a file."""


class DataError(VerifyError):
    """Data does not fit the inputs of a model."""


class KqatWarning(UserWarning):
    """Base of every warning below."""


class FallbackWarning(KqatWarning):
    """Something works in another way than planned, with other promises."""


class NotCalibratedWarning(KqatWarning):
    """A quantized model computes in inference on ranges that neither data nor training has set."""


class SimulationWarning(KqatWarning):
    """A quantized layer computes in float in inference: the grids around it are not those that it names."""


class SharedGridWarning(KqatWarning):
    """Tensors share a grid, and the ranges of some are too small for it."""


class NothingQuantizedWarning(KqatWarning):
    """No layer of a quantized model is quantized, or none of a binary file is binary."""


class TrainingMethodsWarning(KqatWarning):
    """The quantized model lacks methods, such as `train_step`, that the class of the original has."""


class CheckpointError(KqatError, ValueError):
    """A checkpoint cannot be written, or is not one that can be loaded."""


class BusyError(KqatError, RuntimeError):
    """Another thread is changing the same model."""


class LegacyKerasError(KqatError, RuntimeError):
    """The process cannot hold models of tf_keras any more."""


class ConversionError(KqatError, ValueError):
    """A model has a part without counterpart in the other version of Keras."""
