# Copyright 2026 The hf_variants authors. MIT licence.
"""What went wrong on the Hub, in one line that says what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

from .refusal import ExportError

AGAIN = "run the same command again: it goes on where it stopped, and nothing is committed twice"
NO_TOKEN = "no token: run `hf auth login`, or set HF_TOKEN to one with write permission"
OFFLINE = "HF_HUB_OFFLINE is set: unset it to publish"
# status -> what it means and what to do; formatted with the repository, its owner, and the seconds to wait
REASONS = {
    401: "the Hub does not accept the token; log in again (`hf auth login`), or set HF_TOKEN to a valid one",
    403: "the token may not write to {owner}; use one with write permission there, or propose it with --create_pr",
    404: "there is no such repository or revision, or the token may not see it",
    409: "the name is taken, or another operation is under way there; choose another --repo_id, or try again",
    412: "somebody else committed meanwhile; look at what they did, then run the same command again",
    413: "the Hub finds the upload too large; save the weights in smaller files (max_shard_size)",
    429: "rate limit: wait {wait}, then " + AGAIN,
}


@contextmanager
def told_in_one_line(repo_id: str, state: str) -> Iterator[None]:
    """Turns whatever the Hub's client raises inside into an ExportError: where, the reason, how far things are."""
    try:
        yield
    except ExportError:
        raise
    except (HFValidationError, HfHubHTTPError, OSError, RuntimeError, ValueError) as error:
        raise ExportError(f"{repo_id}: {explain(error, repo_id)} ({state})") from None
    except Exception as error:
        if not is_lost_connection(error):
            raise
        raise ExportError(f"{repo_id}: {explain(error, repo_id)} ({state})") from None


def explain(error: BaseException, repo_id: str) -> str:
    """The reason and what to do next, in one line."""
    root = _root(error)
    if isinstance(root, LocalTokenNotFoundError):
        return NO_TOKEN
    if isinstance(root, OfflineModeIsEnabled):
        return OFFLINE
    if isinstance(root, HfHubHTTPError):
        return _explain_status(root, repo_id)
    if is_lost_connection(root):
        return f"the connection was lost ({type(root).__name__}); {AGAIN}"
    return f"{type(root).__name__}: {_first_line(root)}"


def _explain_status(error: HfHubHTTPError, repo_id: str) -> str:
    status = error.response.status_code
    said = " ".join((error.server_message or error.response.headers.get("X-Error-Message") or "").split())
    said = f" [{said}]" if said else ""
    if status >= 500:
        return f"the Hub has a problem (status {status}){said}; {AGAIN}"
    if status not in REASONS:
        return f"the Hub refused (status {status}): {said.strip(' []') or _first_line(error)}"
    seconds = error.response.headers.get("Retry-After", "")
    wait = f"{seconds} s" if seconds.isdigit() else "a few minutes"
    return REASONS[status].format(owner=repo_id.split("/")[0], wait=wait) + said


def is_lost_connection(error: BaseException) -> bool:
    """Whether the network failed, whichever httpx the client is built on."""
    names = {cls.__name__ for cls in type(_root(error)).__mro__}
    return "TransportError" in names or isinstance(_root(error), ConnectionError)


def is_unclear(error: BaseException) -> bool:
    """Whether the request may have been carried out although it failed."""
    root = _root(error)
    return is_lost_connection(root) or (isinstance(root, HfHubHTTPError) and root.response.status_code >= 500)


def _root(error: BaseException) -> BaseException:
    """The first of an error and its causes that says what happened; the client wraps them."""
    current: BaseException | None = error
    while current is not None:
        names = {cls.__name__ for cls in type(current).__mro__}
        if names & {"HfHubHTTPError", "TransportError", "LocalTokenNotFoundError", "ConnectionError"}:
            return current
        current = current.__cause__ or current.__context__
    return error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
