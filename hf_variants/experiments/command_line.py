# Copyright 2026 The hf_variants authors. MIT licence.
"""Command lines: a flag for every field of a recipe, and wrong input that ends in one line and exit code 2."""

import argparse
import dataclasses
import errno
import functools
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..export import ExportError
from .arguments import BUDGETS, SECTIONS
from .checking import InputError, parse_overrides
from .signals import StoppedError
from .stages import GrowthArguments


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"command line: {message}")


def recipe_flags(parser: argparse.ArgumentParser, only: dict[str, Sequence[str]] | None = None) -> None:
    """Adds a flag for every field of every section, or for those fields of some; absent flags leave no trace."""
    from transformers import HfArgumentParser

    for section, cls in SECTIONS.items():
        if cls is GrowthArguments or (only is not None and section not in only):  # a list of mappings is no flag
            continue
        flags = HfArgumentParser(cls, add_help=False, argument_default=argparse.SUPPRESS)
        group = parser.add_argument_group(section, cls.__doc__)
        for action in flags._actions:
            if only is not None and action.dest not in only[section]:
                continue
            action.default = argparse.SUPPRESS
            if action.dest == "overrides":
                action.type = _overrides_flag
            group._add_action(action)


def _overrides_flag(text: str) -> dict[str, Any]:
    try:
        return parse_overrides(text)
    except InputError as error:  # argparse would replace the words of a ValueError with its own
        raise argparse.ArgumentTypeError(str(error)) from None


def flags_as_recipe(namespace: argparse.Namespace) -> dict[str, Any]:
    """The flags that were given, as a nested mapping to merge over a recipe file. A budget replaces the file's."""
    given = dict(vars(namespace))
    if any(name in given for name in BUDGETS):
        given = dict.fromkeys(BUDGETS) | given
    nested = {
        section: {f.name: given[f.name] for f in dataclasses.fields(cls) if f.name in given}
        for section, cls in SECTIONS.items()
    }
    return {section: values for section, values in nested.items() if values}


def command(program: str, options: argparse.Namespace) -> str:
    """The command line that makes the same again: --config, --output_dir and the recipe's flags."""
    parts = [
        f"accelerate launch training/{program}",
        f"--config {options.config}",
        f"--output_dir {options.output_dir}",
    ]
    for values in flags_as_recipe(options).values():
        parts += [f"--{n} {_as_flag(v)}" for n, v in values.items() if v is not None or n not in BUDGETS]
    return " ".join(parts)


def _as_flag(value: Any) -> str:
    if isinstance(value, dict):
        return shlex.quote(",".join(f"{name}={item}" for name, item in value.items()))
    return shlex.join(map(str, value if isinstance(value, list) else [value]))


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
        except (InputError, ExportError) as error:
            code = _complain(str(error))
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            code = _complain(f"{error.filename or 'output'}: {error.strerror}; nothing already written was removed")
        except StoppedError as stopped:
            code = _complain(str(stopped), stopped.code)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            first = (str(error).strip() or "all of it is in use").splitlines()[0]
            code = _complain(f"not enough memory: {first}; lower training.batch_size or the model's sizes")
        except Exception as error:
            if not _is_failed_write(error):
                raise
            code = _complain(f"model.safetensors: {error}; nothing already written was removed")
        except KeyboardInterrupt:
            code = _complain("interrupted; run the same command again to go on from the last checkpoint", 130)
        sys.exit(code)

    return wrapped


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
