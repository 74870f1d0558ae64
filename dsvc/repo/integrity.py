"""What fsck looks at: packs, everything that the view and the operations reach, and the content of large files."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.objects.ahead import gather_history, groups_by_bytes
from dsvc.objects.filemap import chunks, decode_page
from dsvc.objects.files import ObjectDamagedError, hash_content
from dsvc.objects.ids import Kind, OperationId, PackId
from dsvc.objects.packlist import PackClass, PackList, PackRef
from dsvc.objects.packs import DamagedPackError, PackSet
from dsvc.objects.sortedmap import decode_node
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.values import decode_operation
from dsvc.objects.verify import Fault, verify_objects, verify_outline
from dsvc.objects.wholes import whole_files
from dsvc.progress import Progress
from dsvc.refs.log import Head, OperationLog
from dsvc.refs.view import VIEWS
from dsvc.repo.cuts import left_out
from dsvc.repo.reachable import Marks, Target, decode_whole, mark
from dsvc.repo.shapes import ShapeError, Shapes
from dsvc.repo.tombstones import PURGED
from dsvc.storage.gathering import Gathers, forget, gather

_PURGED = PURGED.encode()
_THREADS = 8

class Problem(NamedTuple):
    """One thing that is wrong: an object, or a whole pack (then `id` is the pack's and `kind` None)."""

    what: str  # "pack", "damaged", "missing", "shape", "file"
    kind: Kind | None
    id: bytes
    pack: PackId | None
    message: str


@dataclass(slots=True)
class Reached:
    """What following all references found."""

    objects: int = 0
    operations: int = 0
    problems: list[Problem] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)  # that are cut into chunks
    purged: set[bytes] = field(default_factory=set)  # ids of files that were erased on purpose
    absent: list[Target] = field(default_factory=list)


def check_packs(store: ObjectStore, head: Head, *, deep: bool, progress: Progress) -> list[Problem]:
    """Check all listed packs, without `deep` only their ends and indexes; afterwards `store` shows the usable ones.

    Of a place far away, without `deep`, only that they are there with all their bytes, and indexes that no segment
    has. `store` is one for this check alone.
    """
    if isinstance(store.backend, Gathers):
        return _check_far_packs(store, head, deep=deep, progress=progress)
    refs = head.packs.packs
    faults: list[Fault] = []
    usable = []
    for ref in refs:
        fault = verify_outline(store.backend, store.packs, ref)
        if fault is None:
            usable.append(ref)
        else:
            faults.append(fault)
    store.show(PackList(tuple(usable)))
    if deep:
        progress.start("Checking packs", total_bytes=sum(ref.size for ref in usable), unit="objects")

        def advance(objects: int, size: int) -> None:
            progress.advance(items=objects, size=size)

        faults += verify_objects(store.packs, usable, check=decode_whole, advance=advance)
        faults += (fault for ref in usable if ref.pack_class == PackClass.BULK for fault in _whole_faults(store, ref))
        progress.finish()
    return [problem for fault in faults for problem in _problems(fault)]


def _whole_faults(store: ObjectStore, ref: PackRef) -> Iterator[Fault]:
    """Read the files that a pack keeps whole: chunks that other packs hold are not looked at one by one there."""
    try:
        for file_id, path, _ in whole_files(store.packs, ref):
            with open(path, "rb", buffering=0) as file:
                if hash_content(file.read) != file_id:
                    message = f"file {file_id.hex()}, which pack {ref.id.hex()} keeps whole, has another content"
                    yield Fault(ref.id, "object", message, ((Kind.FILE_MAP, file_id),))
    except IntegrityError as error:
        yield Fault(ref.id, "pack", error.message)
    except OSError as error:
        yield Fault(ref.id, "pack", f"a file of pack {ref.id.hex()} cannot be read: {error.strerror}")


def _check_far_packs(store: ObjectStore, head: Head, *, deep: bool, progress: Progress) -> list[Problem]:
    refs = head.packs.packs
    store.show(PackList(refs, segments=head.packs.segments))
    sizes = dict(store.backend.list("packs/"))
    faults = [Fault(ref.id, "pack", _absence(ref, sizes)) for ref in refs if sizes.get(ref.key) != ref.size]
    there = [ref for ref in refs if sizes.get(ref.key) == ref.size]
    usable: list[PackRef] = []
    if deep:
        progress.start("Checking packs", total_bytes=sum(ref.size for ref in there), unit="objects")
        for group in groups_by_bytes(there, lambda ref: ref.size):
            faults += _check_group(store, group, usable, progress)
        progress.finish()
    else:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="dsvc-verify") as pool:
            for ref, fault in zip(there, pool.map(lambda ref: _index_fault(store.packs, ref), there), strict=True):
                if fault is None:
                    usable.append(ref)
                else:
                    faults.append(fault)
    store.show(PackList(tuple(usable), segments=head.packs.segments))
    return [problem for fault in faults for problem in _problems(fault)]


def _absence(ref: PackRef, sizes: Mapping[str, int]) -> str:
    size = sizes.get(ref.key)
    if size is None:
        return f"pack {ref.id.hex()} is missing"
    return f"pack {ref.id.hex()} has {size} bytes instead of {ref.size}"


def _index_fault(packs: PackSet, ref: PackRef) -> Fault | None:
    try:
        index = packs.index(ref)
    except IntegrityError as error:
        return Fault(ref.id, "pack", error.message)
    if index.count != ref.objects or index.pack_class != ref.pack_class:
        return Fault(ref.id, "pack", f"the index of pack {ref.id.hex()} is not what the pack list says")
    return None


def _check_group(store: ObjectStore, group: list[PackRef], usable: list[PackRef], progress: Progress) -> list[Fault]:
    """Read some packs whole; add those that can be used to `usable`."""
    with contextlib.suppress(IntegrityError):  # whose it is shows when each is read by itself
        gather(store.backend, ((ref.key, [(0, ref.size)]) for ref in group))
    faults: list[Fault] = []
    good = []
    for ref in group:
        fault = verify_outline(store.backend, store.packs, ref)
        if fault is None:
            good.append(ref)
        else:
            faults.append(fault)

    def advance(objects: int, size: int) -> None:
        progress.advance(items=objects, size=size)

    faults += verify_objects(store.packs, good, check=decode_whole, advance=advance)
    forget(store.backend, (ref.key for ref in group if ref.pack_class != PackClass.METADATA))
    usable += good
    return faults


def _problems(fault: Fault) -> Iterator[Problem]:
    if fault.what == "pack" or not fault.objects:
        yield Problem("pack", None, fault.pack, fault.pack, fault.message)
    for kind, object_id in fault.objects:
        yield Problem("damaged", kind, object_id, fault.pack, fault.message)


def follow(store: ObjectStore, head: Head, *, cut: Iterable[OperationId], progress: Progress) -> Reached:
    """Follow everything that the operations of the log and their views reach, and check that maps are in shape.

    `cut` are operations that were removed; commits that were left out on purpose are not followed either.
    """
    reached = Reached()
    with contextlib.suppress(IntegrityError):  # what cannot be read is found when it is followed
        gather_history(store.backend, store.packs, store.packs.refs(), progress=progress)
    marks = Marks(store.packs, store.packs.refs())
    shapes = Shapes(store)

    def failed(target: Target, error: IntegrityError) -> None:
        if isinstance(error, ObjectMissingError):
            reached.absent.append(target)
        else:
            reached.problems.append(Problem("damaged", target[0], target[1], None, error.message))

    def visit(kind: Kind, object_id: bytes, payload: bytes) -> None:
        progress.advance(items=1, size=len(payload))
        if kind == Kind.FILE_MAP:
            reached.files.append(object_id)
        elif kind == Kind.VIEW:
            reached.purged.update(_tombstones(payload))
        try:
            shapes.check(kind, payload)
        except ShapeError as error:
            message = f"{kind.name.lower()} {object_id.hex()}: {error.message}"
            reached.problems.append(Problem("shape", kind, object_id, None, message))
        except IntegrityError:
            pass  # something below cannot be read, which is found when it is followed

    progress.start("Following references", unit="objects")
    on_purpose = set(cut)
    absent: frozenset[bytes] = frozenset()
    with contextlib.suppress(IntegrityError):  # what cannot be read is found when it is followed
        absent = left_out(store, OperationLog(store).view(head.operation))
    for operation_id in _operations(store, head.operation, on_purpose, failed):
        reached.operations += 1
        root = (Kind.OPERATION, bytes(operation_id))
        mark(store, marks, [root], failed=failed, visit=visit, skip=lambda target: target[1] in absent)
    progress.finish()
    reached.objects = marks.count
    reached.files = list(dict.fromkeys(reached.files))
    reached.absent = list(dict.fromkeys(reached.absent))  # what is not here is met again in each tree that names it
    return reached


def _operations(
    store: ObjectStore,
    start: OperationId,
    cut: set[OperationId],
    failed: Callable[[Target, IntegrityError], None],
) -> Iterator[OperationId]:
    """Yield the operations that can be read; a missing one ends the walk, with a word unless it was cut."""
    stack, seen = [start], {start}
    while stack:
        operation_id = stack.pop()
        try:
            operation = decode_operation(store.get(operation_id, Kind.OPERATION))
        except ObjectMissingError as error:
            if operation_id not in cut:
                failed((Kind.OPERATION, operation_id), error)
            continue
        except IntegrityError as error:
            failed((Kind.OPERATION, operation_id), error)
            continue
        yield operation_id
        stack += [p for p in operation.parents if p not in seen]
        seen.update(operation.parents)


def _tombstones(payload: bytes) -> Iterator[bytes]:
    node = decode_node(VIEWS, payload)
    for name, _ in () if node.level else node.items:
        if name.startswith(_PURGED):
            with contextlib.suppress(ValueError):
                yield bytes.fromhex(name.removeprefix(_PURGED).decode())


def check_files(store: ObjectStore, files: list[bytes], *, progress: Progress) -> list[Problem]:
    """Read large files whole, several at once, and compare their content with their ids."""
    problems: list[Problem] = []
    progress.start("Checking large files", total_items=len(files))
    lock = Lock()

    def advance(size: int) -> None:
        with lock:
            progress.advance(size=size)

    workers = max(2, min(8, os.cpu_count() or 2))
    waiting: deque[tuple[bytes, Future[None]]] = deque()

    def take() -> None:
        file_id, future = waiting.popleft()
        try:
            future.result()
        except (ObjectMissingError, ObjectDamagedError, DamagedPackError):
            pass  # a chunk, which is named already
        except IntegrityError as error:
            message = f"file {file_id.hex()}: {error.message}"
            problems.append(Problem("file", Kind.FILE_MAP, file_id, None, message))
        with lock:
            progress.advance(items=1)

    with ThreadPoolExecutor(workers, thread_name_prefix="dsvc-verify") as pool:
        for file_id in files:
            waiting.append((file_id, pool.submit(_check_file, store, file_id, advance)))
            if len(waiting) > 4 * workers:
                take()
        while waiting:
            take()
    progress.finish()
    return problems


class WrongContentError(IntegrityError):
    """A file's map yields other bytes than the file's."""


def _check_file(store: ObjectStore, file_id: bytes, advance: Callable[[int], None]) -> None:
    """Check every map that the store has of a file."""
    for payload in {store.packs.read(*found) for found in store.packs.find_every(file_id, Kind.FILE_MAP)}:
        check_map(store, file_id, payload, advance)


def check_map(store: ObjectStore, file_id: bytes, payload: bytes, advance: Callable[[int], None]) -> None:
    """Put a file together as a map of it says, and compare it with its id; `advance` hears of the bytes.

    Raises:
        WrongContentError: when it is another content. IntegrityError: for what is missing or damaged.
    """
    hasher = blake3()
    for _, part in chunks(decode_page(payload), lambda i: decode_page(store.get(i, Kind.MAP_PAGE))):
        data = store.get(part.id, Kind.CHUNK)
        if len(data) != part.length:
            raise WrongContentError("a map of it gives a chunk a wrong length")
        hasher.update(data)
        advance(len(data))
    if hasher.digest() != file_id:
        raise WrongContentError("a map of it yields another content")


