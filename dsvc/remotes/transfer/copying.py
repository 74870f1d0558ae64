"""Copy a repository's packs to a place where there is none yet, as they are, each compared with its ids on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dsvc.errors import BusyError, IntegrityError
from dsvc.objects.ids import Kind
from dsvc.objects.packlist import PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.verify import verify_objects, verify_outline
from dsvc.progress import Progress
from dsvc.refs.log import Head
from dsvc.remotes.wrappers.cached import uncached
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend, BlobMissingError
from dsvc.storage.local import LocalBackend

_RANGE = 8 << 20  # bytes of a pack that are in memory at once, for each job
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Copied:
    """The head whose packs lie at the other place now, and the bytes that were copied this time."""

    head: Head
    size: int


def copy_packs(source: Repository, target: Backend, staging: Path, *, jobs: int, progress: Progress) -> Copied:
    """Copy the packs that the head of `source` lists; those that an earlier call copied are there already.

    Others may write to the source and collect its garbage meanwhile. Peak memory is 8 MiB a job and the indexes;
    `staging` holds a pack a job.

    Raises:
        IntegrityError: when a pack is damaged. RemoteError: when a place cannot be reached.
    """
    done = 0
    for _ in range(_ATTEMPTS):
        head = source.head
        refs = {ref.key: ref for ref in head.packs.packs}
        wanted = [refs[key] for key in target.missing(list(refs))]
        progress.start("Copying packs", total_bytes=sum(ref.size for ref in wanted), unit="packs")
        try:
            for size in _each(source.backend, target, wanted, staging, jobs=jobs):
                progress.advance(items=1, size=size)
                done += size
            return Copied(head, done)
        except BlobMissingError:
            source.refresh()
            if source.head.value == head.value:
                raise
        finally:
            progress.finish()
    raise BusyError("the repository changes too often to be copied", hint="run the same command again")


def _each(source: Backend, target: Backend, wanted: Iterable[PackRef], staging: Path, *, jobs: int) -> Iterable[int]:
    def one(ref: PackRef) -> int:
        with TemporaryDirectory(dir=staging) as folder:
            near = LocalBackend(Path(folder))
            with contextlib.closing(near):
                _fetch(uncached(source), ref, near)
                _verify(near, ref)
                target.put(ref.key, near.root / ref.key)
        return ref.size

    with ThreadPoolExecutor(max(1, jobs), thread_name_prefix="dsvc-copy") as pool:
        try:
            yield from pool.map(one, wanted)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch(source: Backend, ref: PackRef, near: LocalBackend) -> None:
    path = near.root / ref.key
    path.parent.mkdir()
    with open(path, "xb") as file:
        for start in range(0, ref.size, _RANGE):
            file.write(source.get(ref.key, offset=start, length=min(_RANGE, ref.size - start)))


def _verify(near: LocalBackend, ref: PackRef) -> None:
    packs = PackSet(near)
    packs.show([ref])
    fault = verify_outline(near, packs, ref)
    faults = [fault] if fault is not None else verify_objects(packs, [ref], check=_any, advance=lambda *_: None)
    for found in faults:
        raise IntegrityError(f"what is to be forked is damaged: {found.message}", hint="dsvc fsck --remote")


def _any(kind: Kind, payload: bytes) -> None:
    """Objects are compared with their ids; what is in them is left to whoever reads them."""
