"""How long a writer waits before it tries once more to move a head that others move as well.

One of those who try at the same time succeeds, whatever the others do, so waiting is not needed to get on. It only
spares work that comes to nothing: with two hundred writers, all but one attempt of each round. The wait is random, at
most as long as a few attempts take, and grows with their number: where somebody tries often in vain, there are many.
"""

from __future__ import annotations

import random
import time

_LONGEST = 1.0  # seconds that an attempt is taken to take at most
_ROUNDS = 8


class Patience:
    """Waits between the attempts of one writer."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __call__(self, attempt: int) -> None:
        """Wait behind attempt number `attempt`, counted from 0."""
        took = min(time.monotonic() - self._since, _LONGEST)
        time.sleep(random.uniform(0, took * min(attempt + 1, _ROUNDS)))  # noqa: S311 -- no secret
        self._since = time.monotonic()
