"""Check the packs of a push: that they are what they say, whole, of sane size, and nothing that was purged."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from dsvc.errors import IntegrityError
from dsvc.hub.rules import Limits
from dsvc.hub.visitor import HubRefusedError
from dsvc.objects.filemap import decode_page, length_of
from dsvc.objects.ids import Kind
from dsvc.objects.packlist import PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.packwriter import FOOTER
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.verify import verify_objects, verify_outline
from dsvc.repo.integrity import check_map
from dsvc.repo.reachable import references
from dsvc.repo.repository import Repository
from dsvc.repo.shapes import Shapes
from dsvc.repo.tombstones import PurgedError, tombstone_of

MOST_INDEX = 64 << 20  # bytes of a pack's index
MOST_FRAME = 64 << 20  # plain bytes of a frame, which are in memory at once
_LOCAL = (Kind.OPERATION, Kind.VIEW)  # kinds that never leave their repository
_FILES = (Kind.CHUNK, Kind.FILE_MAP)


def check_packs(repo: Repository, refs: Sequence[PackRef], *, purged: Collection[bytes], limits: Limits) -> None:
    """Read every byte of new packs, which `repo` shows already, and compare it with what it should be.

    Memory is bounded by some frames of at most 64 MiB and the indexes.

    Raises:
        HubRefusedError: naming what is wrong first.
    """
    store = repo.store
    plain = 0
    for ref in refs:
        if ref.size - ref.index_offset - FOOTER.size > MOST_INDEX:
            raise HubRefusedError(f"the index of pack {ref.id.hex()} is too large", hint="dsvc gc, then push again")
        fault = verify_outline(store.backend, store.packs, ref)
        if fault is not None:
            raise _bad(fault.message)
        plain += _check_index(repo, ref, purged)
        if limits.push_plain_bytes and plain > limits.push_plain_bytes:
            raise _large(limits.push_plain_bytes)
    for fault in verify_objects(store.packs, list(refs), check=_decodes, advance=lambda *_: None):
        raise _bad(fault.message)
    _check_shapes(store, refs)
    _check_maps(store, refs, limits)


def _bad(message: str) -> HubRefusedError:
    return HubRefusedError(f"what was pushed is damaged: {message}", hint="dsvc fsck, then push again")


def _large(most: int) -> HubRefusedError:
    return HubRefusedError(
        f"this push unpacks to more than the {most:,} bytes that this hub takes at once", hint="push less at a time"
    )


def _check_index(repo: Repository, ref: PackRef, purged: Collection[bytes]) -> int:
    """Return how many plain bytes the objects of a pack claim."""
    index = repo.store.packs.index(ref)
    name = ref.id.hex()
    for number in range(index.frames):
        if index.frame(number).plain > MOST_FRAME:
            raise _bad(f"pack {name} has a frame that unpacks to more than {MOST_FRAME:,} bytes")
    plain = 0
    before = None
    for wanted, place in index.objects():
        if place.kind in _LOCAL:
            raise _bad(f"pack {name} has operations, which belong to the repository that they were made in")
        if place.kind != Kind.FILE_MAP and (wanted, place.kind) == before:
            raise _bad(f"pack {name} lists {wanted.hex()} twice")
        before = wanted, place.kind
        plain += place.length
        if wanted in purged and place.kind in _FILES:
            tombstone = tombstone_of(repo, wanted)
            reason = PurgedError(tombstone).message if tombstone is not None else f"{wanted.hex()} was purged"
            raise HubRefusedError(reason, hint=f"dsvc purge {wanted.hex()} here too, then push again")
    return plain


def _decodes(kind: Kind, payload: bytes) -> None:
    for _ in references(kind, payload):
        pass


def _check_shapes(store: ObjectStore, refs: Sequence[PackRef]) -> None:
    """Check that trees fit together; what is missing below them is found when the refs are followed."""
    shapes = Shapes(store)
    for wanted, kind in _objects(store.packs, refs, (Kind.TREE, Kind.COMMIT)):
        try:
            shapes.check(kind, store.get(wanted, kind))
        except ObjectMissingError:
            continue
        except IntegrityError as error:
            raise _bad(f"{kind.name.lower()} {wanted.hex()}: {error.message}") from error


def _check_maps(store: ObjectStore, refs: Sequence[PackRef], limits: Limits) -> None:
    """Put every large file together once and compare it with its id."""
    claims = []
    left = limits.push_plain_bytes
    for ref in refs:
        index = store.packs.index(ref)
        for wanted, place in index.objects():
            if place.kind == Kind.FILE_MAP:
                payload = store.packs.read(ref, place)
                left -= length_of(decode_page(payload))
                if limits.push_plain_bytes and left < 0:
                    raise _large(limits.push_plain_bytes)
                claims.append((wanted, payload))

    def check(claim: tuple[bytes, bytes]) -> str | None:
        try:
            check_map(store, *claim, lambda _: None)
        except IntegrityError as error:
            return f"file {claim[0].hex()}: {error.message}"
        return None

    workers = max(2, min(8, os.cpu_count() or 2))
    with ThreadPoolExecutor(workers, thread_name_prefix="dsvc-verify") as pool:
        for problem in pool.map(check, claims):
            if problem is not None:
                pool.shutdown(cancel_futures=True)
                raise _bad(problem)


def _objects(
    packs: PackSet, refs: Sequence[PackRef], kinds: Collection[Kind]
) -> Iterator[tuple[bytes, Kind]]:
    for ref in refs:
        for wanted, place in packs.index(ref).objects():
            if place.kind in kinds:
                yield wanted, Kind(place.kind)
