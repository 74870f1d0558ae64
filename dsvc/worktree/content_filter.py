"""Which files a partial clone keeps the content of: by size and by path; the rest is fetched when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dsvc.errors import UsageError
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.worktree.sparse import GLOB, Sparse

NO_DATA, HISTORY = "no-data", "history"
RULES = frozenset({b".dsvcignore", b".gitignore", b".dsvcattributes", b".dsvcrules"})  # what commands go by
_SIZE = re.compile(r"size:(\d+)([kmg]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class BadFilterError(UsageError):
    """A text that is no filter."""


@dataclass(frozen=True, slots=True)
class ContentFilter:
    """Content is wanted of files of at most `limit` bytes (None: any size) at or below `places`, or that globs match.

    Without places and globs it is wanted wherever a file lies. Files with rules are wanted wherever anything is: a
    commit without them would take what they keep out.
    """

    texts: tuple[str, ...]
    limit: int | None = None
    places: tuple[bytes, ...] = ()
    globs: Sparse | None = field(default=None, compare=False)

    def wants(self, path: bytes, size: int) -> bool:
        """Say whether a checkout fetches the content of a file."""
        if self.limit is not None and size > self.limit:
            return self.limit >= 0 and size <= SMALL_LIMIT and path.rpartition(b"/")[2] in RULES
        if not self.places and self.globs is None:
            return True
        if path.rpartition(b"/")[2] in RULES:
            return True
        if any(path == place or path.startswith(place + b"/") for place in self.places):
            return True
        return self.globs is not None and self.globs.includes(path)


def parse_filter(texts: Sequence[str]) -> ContentFilter | None:
    """Return what these texts say together: `no-data`, `history`, `size:N` (bytes; k, m, g), paths, or globs.

    None where there are none. Globs are those of `sparse`.

    Raises:
        BadFilterError: for an empty text, or a size that is none.
    """
    limits: list[int] = []
    places: list[bytes] = []
    globs: list[bytes] = []
    for text in texts:
        if text in (NO_DATA, HISTORY):
            limits.append(SMALL_LIMIT if text == NO_DATA else -1)
        elif text.startswith("size:"):
            found = _SIZE.fullmatch(text)
            if found is None:
                raise BadFilterError(f"{text!r} is no filter", hint="size:N with N in bytes, or as size:10m")
            limits.append(int(found[1]) * _UNITS[found[2].lower()])
        elif text:
            pattern = text.encode("utf-8", "surrogateescape")
            if GLOB.search(pattern):
                globs.append(pattern)
            else:
                places.append(pattern.strip(b"/"))
        else:
            raise BadFilterError("an empty text is no filter", hint="no-data, history, size:N or a path")
    if not texts:
        return None
    limit = min(limits, default=None)
    return ContentFilter(tuple(texts), limit, tuple(places), Sparse(globs) if globs else None)


def join_filters(filters: Iterable[ContentFilter | None]) -> ContentFilter | None:
    """Return the filter of a repository with several remotes: a remote without one brings everything."""
    found = list(filters)
    given = [one for one in found if one is not None]
    return given[0] if given and len(given) == len(found) else None


def configured_filter(remotes: Mapping[str, object]) -> ContentFilter | None:
    """Return what the section `remote` of the configuration says is kept here, None for a full repository."""
    if not any(key.endswith(".filter") for key in remotes):
        return None
    filters: list[ContentFilter | None] = []
    for key in remotes:
        if key.endswith(".url"):
            texts = remotes.get(f"{key.removesuffix('.url')}.filter", ())
            filters.append(parse_filter(texts if isinstance(texts, tuple) else (str(texts),)))
    return join_filters(filters)
