"""The commands together, and what happens to errors: one line and a remedy, status 2."""

import functools
import sys

import typer

from kqat.cli.commands.doctor import doctor
from kqat.cli.commands.export import export
from kqat.cli.commands.inspect import inspect
from kqat.cli.commands.plan import plan
from kqat.cli.commands.quantize import quantize
from kqat.cli.commands.verify import verify
from kqat_runtime.errors import KqatError

_ERRORS = (KqatError, ValueError, OSError, ImportError, NotImplementedError, MemoryError)


def _reported(command):
    """Returns a command that prints the errors of users as one line, without a traceback."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except _ERRORS as error:
            print(f"kqat {command.__name__}: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(2) from error

    return run


app = typer.Typer(
    help="Quantize Keras models, and prove what their .tflite files compute.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _command in (plan, quantize, export, verify, inspect, doctor):
    app.command()(_reported(_command))
