"""Answers whose head broke off: the standard library takes what has come for all of it, also half of a number."""

from __future__ import annotations

import http.client
from typing import Any


class _Lines:
    """A connection's bytes while the head of an answer is read; remembers how the last line ended."""

    def __init__(self, behind: Any) -> None:
        self.behind = behind
        self.complete = True

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self.behind.readline(limit)
        self.complete = line.endswith(b"\n")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


class WholeHeadResponse(http.client.HTTPResponse):
    """An answer whose head must end with its empty line."""

    def begin(self) -> None:
        """Read the head.

        Raises:
            http.client.HTTPException: when the connection ended within it.
        """
        behind = self.fp
        lines: Any = _Lines(behind)
        self.fp = lines
        try:
            super().begin()
        finally:
            if self.fp is lines:
                self.fp = behind
        if not lines.complete:
            raise http.client.RemoteDisconnected("the head of an answer broke off")


def expect_whole_heads(client: Any) -> None:
    """Let a client of botocore, which has sent nothing yet, take an answer with half a head for a broken connection.

    There is no public way to name the class of its answers, so its pools of connections are replaced by ones that do.
    Where a later botocore keeps them elsewhere, requests are sent all the same: what is received is compared with ids.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    pools = getattr(session, "_pool_classes_by_scheme", {})
    for scheme, pool in list(pools.items()):
        connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": WholeHeadResponse})
        pools[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": connection})
