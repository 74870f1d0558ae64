"""Whether a store keeps conditions on writes: found by trying, since some take a condition and ignore it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dsvc.remotes.s3.calls import Calls
from dsvc.remotes.s3.errors import S3Error, status_of

Put = Callable[[str, bytes, Mapping[str, str]], str]  # writes an object under a condition; the ETag is returned
Delete = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ConditionalWrites:
    """Whether a store keeps its conditions on writes; `found` says what it did instead."""

    kept: bool
    found: str = ""


def try_conditions(calls: Calls, put: Put, delete: Delete, key_of: Callable[[str], str]) -> ConditionalWrites:
    """Find out by writing and removing one small object, in five requests, whether a store keeps conditions on writes.

    Whenever an answer was lost on the way, it begins again with another object.

    Raises:
        S3Error: when the store does not answer, or refuses for another reason.
    """
    attempt = 0
    while True:
        key = key_of(f".probe-{os.urandom(8).hex()}")  # no name of a cell begins with a dot
        try:
            return _try_on(key, calls, put)
        except Exception as error:
            kind = calls.known(error)
            attempt += calls.weight(error)
            if kind not in ("lost", "throttled", "contended", "unsent") or attempt >= calls.attempts_now():
                raise calls.translated(error, "trying conditional writes") from error
        finally:
            with contextlib.suppress(S3Error):
                calls.repeat(lambda key=key: delete(key), "removing a probe")  # type: ignore[misc]
        calls.wait(attempt, throttled=kind == "throttled")


def _try_on(key: str, calls: Calls, put: Put) -> ConditionalWrites:
    """Write one object four times: as a new one, again as a new one, over the right one, over the wrong one."""

    def write(body: bytes, condition: Mapping[str, str]) -> str | None:
        return _write(key, body, condition, calls=calls, put=put)

    first = write(b"1", {"IfNoneMatch": "*"})
    if first is None:
        return ConditionalWrites(kept=False, found="refuses the condition If-None-Match on a new object")
    if write(b"2", {"IfNoneMatch": "*"}) is not None:
        return ConditionalWrites(kept=False, found="ignores the condition If-None-Match on writes")
    if write(b"3", {"IfMatch": first}) in (None, first):
        return ConditionalWrites(kept=False, found="does not take the condition If-Match with the right ETag")
    if write(b"4", {"IfMatch": first}) is not None:
        return ConditionalWrites(kept=False, found="ignores the condition If-Match on writes")
    return ConditionalWrites(kept=True)


def _write(key: str, body: bytes, condition: Mapping[str, str], *, calls: Calls, put: Put) -> str | None:
    """Return the ETag of what was written, or None when the condition or its use was refused.

    It is sent once: repeated after a lost answer, what was done would look like a refusal.
    """
    try:
        return calls.once(lambda: put(key, body, condition))
    except Exception as error:
        if calls.known(error) in ("conflict", "absent"):
            return None
        if status_of(error) in (400, 501) and _is_about_conditions(error):
            return None
        raise


def _is_about_conditions(error: Exception) -> bool:
    """Whether a store says that it does not implement the header."""
    response: Any = getattr(error, "response", {})
    answer = response.get("Error", {})
    return answer.get("Code") == "NotImplemented" or "match" in str(answer.get("Message", "")).lower()
