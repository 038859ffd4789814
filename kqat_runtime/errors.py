"""What is raised for files that cannot be run; `kqat.errors` has these classes and more."""


class KqatError(Exception):
    """Base of every error of kqat."""


class VerifyError(KqatError, ValueError):
    """A model and a file cannot be compared."""


class FileError(VerifyError):
    """Bytes are not a model that the runtime can run, or not with these inputs."""
