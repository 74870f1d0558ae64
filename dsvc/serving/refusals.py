"""Answers to requests that cannot be served, each with a sentence for people."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - it is an answer, and nothing failed
    """A request is answered with this status, and with `{"error": message}`."""

    status = 400
    kind = "input"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(Refusal):
    """There is no such model, version or address."""

    status = 404
    kind = "address"


class WrongMethod(Refusal):
    """The address is there for another method."""

    status = 405
    kind = "address"


class TooLarge(Refusal):
    """The body is longer than is allowed."""

    status = 413
    kind = "size"


class Compressed(Refusal):
    """The body is compressed, which would let few bytes become many."""

    status = 415


class Unauthorized(Refusal):
    """The token is missing or another one."""

    status = 401
    kind = "token"


class ModelFailed(Refusal):
    """The model raised an exception."""

    status = 500
    kind = "model"
