# Copyright 2026 The hf_variants authors. MIT licence.
"""Programs whose wrong input ends in one line and exit code 2."""

import argparse
import errno
import functools
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ...hub.export import ExportError
from ..checking import InputError, StoppedError


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"command line: {message}")


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
