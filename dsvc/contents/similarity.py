"""How much of one file is found in another, to tell which new file is an old one under another name.

The measure is git's: a file is cut into spans that end at each line end or after 64 bytes, and the score is
the share of bytes that lie in spans which both files have, in percent of the larger file. Order does not
count. In text the carriage return of a line end is left out, so that a change of line ends does not count.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from dsvc.contents.kinds import is_binary

SourceT = TypeVar("SourceT", bound=Hashable)
TargetT = TypeVar("TargetT", bound=Hashable)

_SPAN = re.compile(rb"[^\n]{0,63}[\s\S]")
_RARE = 32  # spans that more sources share (blank lines, licences) do not lead from a file to its likes
_PER_TARGET = 16  # sources compared in full per target and way of finding them
_KEPT = 4  # best sources kept per target until all are known, as in git
_SKETCH = 48  # spans in a sketch
_ROUNDS = 4
_WHOLE = 1_000_000


class Fingerprint(NamedTuple):
    """What is needed of a file to compare it with others.

    `size` is how many bytes lie in spans, `spans` maps a span's hash to the bytes in all its occurrences, and
    `sketch` is a sample of the hashes, the same for equal files. Hashes hold within one process only.
    """

    size: int
    spans: Mapping[int, int]
    sketch: frozenset[int]


def fingerprint(content: bytes) -> Fingerprint:
    """Hash the spans of a file; costs about 25 us for 10 KB and holds a few times the file's size of text."""
    text = content if is_binary(content) else content.replace(b"\r\n", b"\n")
    spans = {hash(span): len(span) * count for span, count in Counter(_SPAN.findall(text)).items()}
    sketch = spans if len(spans) <= _SKETCH else heapq.nsmallest(_SKETCH, spans)
    return Fingerprint(len(text), spans, frozenset(sketch))


def similarity(a: bytes, b: bytes) -> int:
    """Return how alike two files are, from 0 (nothing in common) to 100 (equal, but for the order of spans)."""
    return score(fingerprint(a), fingerprint(b))


def score(a: Fingerprint, b: Fingerprint) -> int:
    """Return how alike two files are, 0 to 100, from their fingerprints; an empty file is like no other."""
    return _points(a, b) * 100 // _WHOLE


def best_matches(
    sources: Mapping[SourceT, Fingerprint],
    targets: Mapping[TargetT, Fingerprint],
    *,
    minimum: int = 50,
    reuse_sources: bool = False,
    prefer: Callable[[SourceT, TargetT], int] | None = None,
) -> list[tuple[SourceT, TargetT, int]]:
    """Pair each target with the source it is most like, as (source, target, score), the best score first.

    Only scores of `minimum` and more count. A source serves one target, unless `reuse_sources` is set (for
    copies). Of equal scores the one with the higher `prefer` comes first (say 1 where the base names are
    equal), then the order of the mappings decides. Up to 32 sources are all compared. Among more, a target is
    compared with the 16 that share most of its rare spans, and where these cannot settle it with the 16 whose
    samples are most alike; so of many nearly equal files not always the very best is found.
    """
    free = dict(sources)
    waiting = dict(targets)
    matches: list[tuple[int, SourceT, TargetT]] = []
    for _ in range(_ROUNDS):  # a target whose few best sources went to others asks again among the rest
        settled = _round(free, waiting, minimum=minimum, reuse_sources=reuse_sources, prefer=prefer)
        matches += settled
        for _, source, target in settled:
            del waiting[target]
            if not reuse_sources:
                del free[source]
        if not settled:
            break
    matches.sort(key=lambda match: -match[0])
    return [(source, target, points * 100 // _WHOLE) for points, source, target in matches]


def _round(
    sources: Mapping[SourceT, Fingerprint],
    targets: Mapping[TargetT, Fingerprint],
    *,
    minimum: int,
    reuse_sources: bool,
    prefer: Callable[[SourceT, TargetT], int] | None,
) -> list[tuple[int, SourceT, TargetT]]:
    order = list(sources.items())
    names = list(targets)
    finder = _Candidates([source for _, source in order], minimum)
    found: list[tuple[int, int, int, int]] = []
    for t, (name, target) in enumerate(targets.items()):
        scores: list[tuple[int, int, int, int]] = []
        for s in finder.candidates(target, near=t * len(order) // len(names)):
            points = _points(order[s][1], target)
            if points * 100 >= minimum * _WHOLE and points > 0:
                scores.append((-points, -prefer(order[s][0], name) if prefer else 0, t, s))
        found += heapq.nsmallest(_KEPT, scores)
    found.sort()

    settled: dict[int, tuple[int, SourceT, TargetT]] = {}
    used: set[int] = set()
    for points, _, t, s in found:
        if t not in settled and (s not in used or reuse_sources):
            settled[t] = (-points, order[s][0], names[t])
            used.add(s)
    return list(settled.values())


class _Candidates:
    """Finds the sources that are worth a full comparison with a target."""

    def __init__(self, sources: list[Fingerprint], minimum: int) -> None:
        self._sources = sources
        self._minimum = minimum
        self._postings: defaultdict[int, list[int]] = defaultdict(list)
        if len(sources) > _RARE:
            for number, source in enumerate(sources):
                for span in source.spans:
                    self._postings[span].append(number)

    def candidates(self, target: Fingerprint, *, near: int) -> Iterable[int]:
        """Return numbers of sources, each once; of those that seem equally good the ones near to `near`."""
        if len(self._sources) <= _RARE:
            return range(len(self._sources))
        shared: Counter[int] = Counter()
        common = 0  # bytes of the target in spans that are not followed
        for span, size in target.spans.items():
            numbers = self._postings.get(span, ())
            if len(numbers) > _RARE:
                common += size
                continue
            for number in numbers:
                shared[number] += min(size, self._sources[number].spans[span])
        chosen = {number for number, _ in shared.most_common(_PER_TARGET)}
        if common and common * 100 >= self._minimum * target.size:
            chosen.update(self._like_in_sample(target, chosen, near))
        return sorted(chosen)

    def _like_in_sample(self, target: Fingerprint, known: set[int], near: int) -> list[int]:
        sketch, size, minimum = target.sketch, target.size, self._minimum
        alike = [
            (len(sketch & source.sketch), -abs(number - near), number)
            for number, source in enumerate(self._sources)
            if number not in known
            and source.size * 100 >= minimum * size
            and size * 100 >= minimum * source.size
        ]
        return [number for _, _, number in heapq.nlargest(_PER_TARGET, alike)]


def _points(a: Fingerprint, b: Fingerprint) -> int:
    """Return the score in millionths, so that the better of two good matches is told from the other."""
    mine, other = a.spans, b.spans
    shared = sum([min(mine[span], other[span]) for span in mine.keys() & other.keys()])
    return shared * _WHOLE // max(a.size, b.size, 1)
