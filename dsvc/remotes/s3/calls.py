"""Requests to a bucket: how many at once, which are repeated, and after what time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import SystemRandom
from typing import Final, TypeVar

from dsvc.remotes.s3.errors import Kind, S3Error, Target, as_broken, kind_of, translate

Answer = TypeVar("Answer")

_WAIT: Final = 0.1  # seconds before the first repetition, at most; doubled for each further one
_WAIT_WHEN_THROTTLED: Final = 1.0
_LONGEST_WAIT: Final = 20.0
_ATTEMPTS_BEFORE_FIRST_ANSWER: Final = 3  # a wrong endpoint should not be tried for a minute
_REPEATED: Final = frozenset({"throttled", "contended", "lost", "unsent"})


class Gate:
    """Lets so many requests through at once; halves their number when the store is busy, and recovers slowly."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._inside = 0
        self._generation = 0
        self._free = threading.Condition()

    @property
    def limit(self) -> int:
        """How many are let through at this moment."""
        return int(self._limit)

    @contextmanager
    def passage(self) -> Iterator[int]:
        """Wait for a free place and hold it; the value is what `slow_down` wants to be told."""
        with self._free:
            while self._inside >= int(self._limit):
                self._free.wait()
            self._inside += 1
            generation = self._generation
        try:
            yield generation
        finally:
            with self._free:
                self._inside -= 1
                self._free.notify_all()

    def slow_down(self, generation: int) -> None:
        """Halve the limit, once for all requests that set out under the same one."""
        with self._free:
            if generation == self._generation:
                self._generation += 1
                self._limit = max(1.0, self._limit / 2)

    def speed_up(self) -> None:
        """Let one more through after each round of requests that went well."""
        with self._free:
            if self._limit < self._most:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
                self._free.notify_all()


class Calls:
    """Sends requests for one backend; safe for threads."""

    def __init__(self, target: Target, *, connections: int, attempts: int) -> None:
        self.target = target
        self.gate = Gate(connections)
        self.attempts = attempts
        self._answered = False
        self._random = SystemRandom()

    def once(self, request: Callable[[], Answer]) -> Answer:
        """Send a request a single time, in its turn; whatever the client raises comes through."""
        with self.gate.passage() as generation:
            try:
                answer = request()
            except Exception as error:
                broken = as_broken(error)
                kind = kind_of(broken or error)
                if kind == "throttled":
                    self.gate.slow_down(generation)
                if kind != "unsent":
                    self._answered = True
                if broken is not None:
                    raise broken from error
                raise
        self._answered = True
        self.gate.speed_up()
        return answer

    def repeat(self, request: Callable[[], Answer], doing: str, *, expected: frozenset[Kind] = frozenset()) -> Answer:
        """Send a request that may be done twice, again and again until it is answered.

        Errors of the kinds in `expected` come through as the client raised them.

        Raises:
            S3Error: when it was refused, or is still not answered after all attempts.
        """
        attempt = 0
        while True:
            try:
                return self.once(request)
            except Exception as error:
                kind = self.known(error)
                attempt += self.weight(error)
                if kind in expected and kind not in _REPEATED:
                    raise
                if kind not in _REPEATED or attempt >= self.attempts_now():
                    raise self.translated(error, doing) from error
            self.wait(attempt, throttled=kind == "throttled")

    def known(self, error: Exception) -> Kind:
        """The kind of an error of the client; any other exception is a bug or was translated, and is raised again."""
        from botocore.exceptions import BotoCoreError, ClientError

        if not isinstance(error, ClientError | BotoCoreError | OSError):
            raise error
        return kind_of(error)

    def weight(self, error: Exception) -> int:
        """As how many attempts one counts: a time-out took so long that there should be few more."""
        from botocore.exceptions import ReadTimeoutError

        return 3 if isinstance(error, ReadTimeoutError) else 1

    def attempts_now(self) -> int:
        """How often a request is tried: less often while the endpoint has never answered."""
        return self.attempts if self._answered else min(self.attempts, _ATTEMPTS_BEFORE_FIRST_ANSWER)

    def wait(self, attempt: int, *, throttled: bool = False) -> None:
        """Sleep before repetition number `attempt`: any time up to a limit that doubles, so that clients spread out."""
        longest = min(_LONGEST_WAIT, (_WAIT_WHEN_THROTTLED if throttled else _WAIT) * 2 ** (attempt - 1))
        time.sleep(self._random.random() * longest)

    def translated(self, error: Exception, doing: str) -> S3Error:
        """The error for a person."""
        return translate(error, self.target, doing)
