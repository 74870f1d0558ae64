"""Error families: one class an exit code; concrete errors derive from them beside the code that raises them."""

from __future__ import annotations

from typing import Any, ClassVar


class DsvcError(Exception):
    """A request that ended without being done, in words for the person who made it.

    `message` is one sentence that says what failed, on which path or object, and why. `hint` names the
    next command to type. `details` are machine-readable facts for `--json` (JSON values only).
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = details or {}


class AnswerNoError(DsvcError):
    """A question was answered no, or a check or gate failed."""

    exit_code = 1


class UsageError(DsvcError):
    """The command line or the arguments of a call do not make sense."""

    exit_code = 2


class RequestError(DsvcError):
    """The request makes sense but cannot be done; any user error that has no family of its own."""

    exit_code = 3


class NotARepositoryError(DsvcError):
    """No repository was found where one is needed."""

    exit_code = 10


class BusyError(DsvcError):
    """Another process changed or holds what this one needs; trying again may work."""

    exit_code = 11


class DivergedError(DsvcError):
    """Two lines of history moved apart and the request needs one of them to contain the other."""

    exit_code = 12


class ConflictError(DsvcError):
    """Conflicts stand in the way and must be settled first."""

    exit_code = 13


class RemoteError(DsvcError):
    """A remote refused, failed or could not be reached."""

    exit_code = 14


class IntegrityError(DsvcError):
    """Stored bytes are damaged, missing or not of the documented form."""

    exit_code = 15


class FormatTooNewError(DsvcError):
    """The repository needs a feature that this version does not have."""

    exit_code = 16


class NotStartedError(DsvcError):
    """`dsvc run` failed itself, before it started the command."""

    exit_code = 125


class NotExecutableError(DsvcError):
    """The command of `dsvc run` is there and cannot be executed."""

    exit_code = 126


class CommandNotFoundError(DsvcError):
    """The command of `dsvc run` does not exist."""

    exit_code = 127
