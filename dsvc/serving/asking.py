"""Ask a model without keeping other requests waiting, and with rows of several requests at once if that is wanted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np

from dsvc.serving.predictor import Predictor, Rows
from dsvc.serving.refusals import ModelFailed, Refusal

_QUICK: Final = 0.002  # seconds: a call that takes less costs less than to hand it to a thread and back
_FEW: Final = 64  # rows of a call that may be quick
_LEARNED: Final = 5  # calls after which it is known how long one takes


class Asker:
    """Calls a model: in a thread, or at once where its calls have been quick. One call at a time."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._busy = 0
        self._calls = 0
        self._seconds = 1.0

    async def ask(self, rows: Rows, output: str) -> Any:
        """Return what the model answers to rows; raises Refusal, which ModelFailed is for what it raised itself."""
        if not self._busy and self._seconds < _QUICK and rows.count <= _FEW:
            return self._timed(rows, output)
        return await self._apart(self._timed, rows, output)

    async def answer(self, query: Mapping[str, Any]) -> Any:
        """Return the body with which the model answers a body; raises as `ask`."""
        return await self._apart(_guarded, self._predictor.answer, query)

    async def _apart(self, call: Any, *arguments: Any) -> Any:
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)
        finally:
            self._busy -= 1

    def _timed(self, rows: Rows, output: str) -> Any:
        began = perf_counter()
        found = _guarded(self._predictor.predict, rows, output)
        if rows.count <= _FEW:
            spent = perf_counter() - began
            self._calls += 1
            if self._calls == _LEARNED or spent > 10 * _QUICK:
                self._seconds = spent
            elif self._calls > _LEARNED:
                self._seconds += (spent - self._seconds) / 10
        return found

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()


def _guarded(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Refusal:
        raise
    except Exception as error:
        # What it says may show data or paths: it belongs into the server's log and not into an answer.
        raise ModelFailed("the model failed on this request; its server's log says why") from error


@dataclass(slots=True)
class _Waiting:
    rows: Rows
    output: str
    future: asyncio.Future[Any]


class Batcher:
    """Joins the rows of requests that wait into one call of at most `most` rows.

    Nothing waits while the model is idle, unless `wait` seconds are given. Requests for different outputs, and rows
    that are no matrix, are not joined.
    """

    def __init__(self, asker: Asker, most: int, wait: float) -> None:
        self._asker, self._most, self._wait = asker, most, wait
        self._queue: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, rows: Rows, output: str) -> Any:
        """Return what the model answers to rows; raises as `Asker.ask`."""
        if rows.matrix is None or rows.count >= self._most:
            return await self._asker.ask(rows, output)
        one = _Waiting(rows, output, asyncio.get_running_loop().create_future())
        self._queue.append(one)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await one.future

    async def _work(self) -> None:
        try:
            await asyncio.sleep(self._wait)  # with 0 too: others that have arrived meanwhile come along
            while self._queue:
                await self._call(self._taken())
                await asyncio.sleep(0)
        finally:
            self._worker = None

    def _taken(self) -> list[_Waiting]:
        taken = [self._queue.popleft()]
        count = taken[0].rows.count
        while self._queue and self._queue[0].output == taken[0].output:
            count += self._queue[0].rows.count
            if count > self._most or self._queue[0].rows.matrix.shape[1] != taken[0].rows.matrix.shape[1]:
                break
            taken.append(self._queue.popleft())
        return taken

    async def _call(self, taken: list[_Waiting]) -> None:
        rows = taken[0].rows
        if len(taken) > 1:
            matrix = np.concatenate([each.rows.matrix for each in taken])
            rows = Rows(len(matrix), matrix)
        try:
            found = await self._asker.ask(rows, taken[0].output)
        except Refusal as refusal:
            if len(taken) > 1:  # one of them may be to blame; the others shall have their answers
                for each in taken:
                    await self._call([each])
                return
            _settle(taken[0].future, error=refusal)
            return
        at = 0
        for each in taken:
            _settle(each.future, _cut(found, at, at + each.rows.count) if len(taken) > 1 else found)
            at += each.rows.count


def _settle(future: asyncio.Future[Any], found: Any = None, *, error: Refusal | None = None) -> None:
    if future.done():  # whoever asked has left
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(found)


def _cut(found: Any, start: int, end: int) -> Any:
    if isinstance(found, Mapping):
        return {name: each[start:end] for name, each in found.items()}
    return found[start:end]
