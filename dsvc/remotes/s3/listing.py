"""Which blobs a bucket has: listings page by page, and the question which of many keys are missing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from dsvc.errors import RemoteError
from dsvc.remotes.s3.calls import Calls
from dsvc.remotes.s3.errors import Kind

_OTHERS: Final = ("cells/",)  # what lies beside the blobs
_QUESTIONS_A_PAGE: Final = 16  # a listing may take a page for so many keys that are asked for
_ABSENT: Final[frozenset[Kind]] = frozenset({"absent"})

Ask = Callable[[str], int | None]


class UnsortedListingError(RemoteError):
    """A store lists its keys in another order than that of their bytes."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects of one backend, whose names begin with `prefix`."""

    client: Any
    calls: Calls
    bucket: str
    prefix: str

    def blobs(self, start: str) -> Iterator[tuple[str, int]]:
        """Yield (key, bytes) of the blobs whose key begins with `start`, sorted.

        Within a folder, pages are passed on as they come. What lies in several folders is collected and sorted first:
        some stores list folder by folder.

        Raises:
            UnsortedListingError: when the pages of one folder are not in order.
        """
        if "/" not in start:
            found = [entry for page in self.pages(start) for entry in page if not entry[0].startswith(_OTHERS)]
            found.sort()
            yield from found
            return
        last = ""
        for page in self.pages(start):
            for entry in page:
                if entry[0] <= last:
                    raise UnsortedListingError(
                        f"{self.calls.target.url}: the store lists {entry[0]} after {last}",
                        hint="directory buckets and folders inside folders are not supported",
                    )
                last = entry[0]
                if not last.startswith(_OTHERS):
                    yield entry

    def pages(self, start: str, *, after: str | None = None) -> Iterator[list[tuple[str, int]]]:
        """Yield lists of (key, bytes), each from one request; `after` leaves out the keys up to it."""
        where = {} if after is None else {"StartAfter": self.prefix + after}
        cut = len(self.prefix)
        while True:
            answer = self.calls.repeat(
                lambda where=where: self.client.list_objects_v2(  # type: ignore[misc]
                    Bucket=self.bucket, Prefix=self.prefix + start, **where
                ),
                "listing",
            )
            yield [(entry["Key"][cut:], int(entry["Size"])) for entry in answer.get("Contents", ())]
            if not answer.get("IsTruncated") or not answer.get("NextContinuationToken"):
                return
            where = {"ContinuationToken": answer["NextContinuationToken"]}

    def missing(self, keys: list[str], *, ask: Ask, jobs: int) -> list[str]:
        """Return those of `keys` that have no blob, in the given order; `ask` returns the size of one, or None.

        Keys of one folder are looked up in a listing of it, as long as that takes few pages for the number of keys;
        for what it does not reach, `ask` is called from `jobs` threads.
        """
        there: set[str] = set()
        open_keys: list[str] = []
        folders: dict[str, list[str]] = {}
        for key in set(keys):
            folders.setdefault(key[: key.rfind("/") + 1], []).append(key)
        for folder, wanted in folders.items():
            open_keys += self._look_up(folder, sorted(wanted), there)
        if open_keys:
            there |= self._ask_for(open_keys, ask, jobs)
        return [key for key in keys if key not in there]

    def _look_up(self, folder: str, wanted: list[str], there: set[str]) -> list[str]:
        """Add to `there` the keys that a short listing shows; return those that it has not come to."""
        pages = len(wanted) // _QUESTIONS_A_PAGE
        if not pages:
            return wanted
        names = set(wanted)
        last = ""
        for number, page in enumerate(self.pages(folder, after=_just_before(wanted[0])), 1):
            for key, _ in page:
                if key <= last:
                    return [key for key in wanted if key not in there]  # not sorted: what it has not shown may be there
                last = key
                if key in names:
                    there.add(key)
            if last >= wanted[-1]:
                return []
            if number == pages:
                return wanted[bisect_left(wanted, last) :] if last else wanted
        return []

    def _ask_for(self, keys: list[str], ask: Ask, jobs: int) -> set[str]:
        keys = sorted(keys)
        if len(keys) == 1:
            sizes = [ask(keys[0])]
        else:
            with ThreadPoolExecutor(min(jobs, len(keys)), thread_name_prefix="s3-missing") as threads:
                sizes = list(threads.map(ask, keys))
        absent = next((key for key, size in zip(keys, sizes, strict=True) if size is None), None)
        if absent is not None:
            self._expect_bucket(absent)
        return {key for key, size in zip(keys, sizes, strict=True) if size is not None}

    def _expect_bucket(self, absent: str) -> None:
        """Raise when a key is absent because its bucket is: a HEAD's answer does not say."""
        try:
            self.calls.repeat(
                lambda: self.client.get_object(Bucket=self.bucket, Key=self.prefix + absent, Range="bytes=0-0"),
                "looking for the bucket",
                expected=_ABSENT | {"range"},
            )
        except Exception as error:
            if self.calls.known(error) not in ("absent", "range"):
                raise


def _just_before(key: str) -> str:
    """A name that sorts before `key` and after almost all that do."""
    return key[:-1]
