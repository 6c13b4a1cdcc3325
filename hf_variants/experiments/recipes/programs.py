# Copyright 2026 The hf_variants authors. MIT licence.
"""Programs whose wrong input ends in one line and exit code 2."""

import argparse
import errno
import functools
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ...hub.refusal import ExportError
from ..checking import InputError, Range, StoppedError

TRACEBACK = "HF_VARIANTS_TRACEBACK"  # set to 1 in the environment: the traceback stands before the line
# What the extra `train` installs, by the names of its modules.
OF_TRAIN = ("PIL", "accelerate", "datasets", "evaluate", "jinja2", "matplotlib", "numpy", "peft", "pyarrow", "scipy",
            "sklearn", "tokenizers", "tqdm", "yaml")  # fmt: skip
OF_SITE = ("markdown_it", "plotly")  # and what the extra `site` does
INSTALLED = "hf_variants.training"  # the package of the programs in the wheel


def called(package: str | None, name: str) -> str:
    """How a program is called again, by the package it runs as: from what is installed, or from a clone."""
    return f"hf-variants {name}" if package == INSTALLED else f"accelerate launch training/{name}.py"


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose help ends with examples."""

    def __init__(self, description: str | None = None, examples: Sequence[str] = (), **kwargs: Any) -> None:
        epilog = "\n  ".join(("examples:", *examples)) if examples else None
        kwargs = {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": epilog} | kwargs
        super().__init__(description=description, **kwargs)
        self._ranges: dict[str, Range] = {}

    def add_number(
        self, flag: str, kind: type[int] | type[float], allowed: Range, about: str, default: float | None = None
    ) -> None:
        """Adds a flag for a number that is held to a range, which help shows."""
        notes = str(allowed) if default is None else f"{allowed}; default: {default}"
        action = self.add_argument(flag, type=kind, default=default, metavar="N", help=f"{about} [{notes}]")
        self._ranges[action.dest] = allowed

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, which calls it for `parse_args`; `--batch-size` is `--batch_size`.

        Raises InputError for a number beyond its range.
        """
        spelled = [_with_low_lines(argument) for argument in (sys.argv[1:] if args is None else args)]
        options, rest = super().parse_known_args(spelled, namespace)
        for name, allowed in self._ranges.items():
            if getattr(options, name) is not None:
                allowed.check(f"--{name}", getattr(options, name))
        return options, rest

    def error(self, message: str) -> NoReturn:
        raise InputError(f"command line: {message}")


def _with_low_lines(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument[2:].partition("=")
    return f"--{flag.replace('-', '_')}{equals}{value}"


NOT_WRITABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG),
)


def one_line_errors(main: Callable[..., int | None]) -> Callable[..., NoReturn]:
    """Wraps a program's `main`: what the user got wrong ends in one line on stderr and exit code 2."""

    @functools.wraps(main)
    def wrapped(*args: Any, **kwargs: Any) -> NoReturn:
        try:
            code = main(*args, **kwargs) or 0
            sys.stdout.flush()
        except BrokenPipeError:
            code = nobody_reads()
        except StoppedError as stopped:
            code = _complain(str(stopped), stopped.code)
        except KeyboardInterrupt:
            code = _complain("interrupted; run the same command again to go on from the last checkpoint", 130)
        except Exception as error:
            line = _in_one_line(error)
            if line is None:  # a bug
                raise
            _show_traceback(error)
            code = _complain(line)
        sys.exit(code)

    return wrapped


def nobody_reads() -> int:
    """The exit code of a program whose output is no longer read, as in `| head`: it ends in silence, as others do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more when it ends
    return 128 + 13  # what a shell reports of SIGPIPE


def _in_one_line(error: Exception) -> str | None:
    """What an exception that the user can do something about says; None for any other, which is a bug."""
    if isinstance(error, (InputError, ExportError)):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return _missing_extra(error)
    if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
        return f"{error.filename or 'output'}: {error.strerror}; nothing already written was removed"
    if isinstance(error, (MemoryError, RuntimeError)) and _is_out_of_memory(error):
        first = (str(error).strip() or "all of it is in use").splitlines()[0]
        return f"not enough memory: {first}; lower training.batch_size or the model's sizes"
    return f"model.safetensors: {error}; nothing already written was removed" if _is_failed_write(error) else None


def _missing_extra(error: ModuleNotFoundError) -> str | None:
    package = (error.name or "").split(".")[0]
    extra = "train" if package in OF_TRAIN else "site" if package in OF_SITE else None
    return extra and f"{package} is not installed; pip install 'hf_variants[{extra}]'"


def _show_traceback(error: BaseException) -> None:
    """Prints the traceback if the environment asks for it, with what the error was raised in place of."""
    if os.environ.get(TRACEBACK, "0") in ("", "0"):
        return
    link: BaseException | None = error
    while link is not None:
        link.__suppress_context__ = False  # `raise … from None` hides what programs otherwise say in one line
        link = link.__cause__ or link.__context__
    traceback.print_exception(error)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory could not be had, on the CPU or on another device; importing torch to ask would take seconds."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(error)


def _is_failed_write(error: Exception) -> bool:
    """Whether weights could not be written: safetensors has an error of its own for a full disk."""
    found = re.search(r"os error (\d+)", str(error)) if type(error).__name__ == "SafetensorError" else None
    return found is not None and int(found[1]) in NOT_WRITABLE


def _complain(message: str, code: int = 2) -> int:
    if message:  # else another process says it
        print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
