"""The index of a working copy: what the files on disk looked like when their content was last known.

It names a tree and holds, for every directory of that tree, the names and a signature of each file's stat. A file
whose signature is unchanged still has the content that the tree says; so a scan that finds a directory's names
and signatures as one equal byte string has nothing more to do there. docs/formats/working-index.md.
"""

from __future__ import annotations

import os
import stat
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgpack
from blake3 import blake3

from dsvc.atomic import write_file
from dsvc.errors import IntegrityError
from dsvc.objects import trees
from dsvc.objects.ids import ID_LENGTH, TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import EntryKind
from dsvc.worktree.name_map import NameMap

MAGIC = b"dsvcwrk1"
VERSION = 1
_SIGNATURE = struct.Struct("<QqqQI")  # size, mtime_ns, ctime_ns, inode, mode
SIGNATURE = _SIGNATURE.size
_CTIME = struct.Struct("<16xq")
_CTIMES = struct.Struct("<16xq12x")
pack_signature = _SIGNATURE.pack
pack_signature_into = _SIGNATURE.pack_into

DIRECTORY = _SIGNATURE.pack(0, 0, 0, 0, stat.S_IFDIR)
GITLINK = _SIGNATURE.pack(0, 0, 0, 0, 0o160000)
DATASET = _SIGNATURE.pack(0, 0, 0, 0, 0o040001)  # a provider of snapshots serves it, or it is not here
ABSENT = _SIGNATURE.pack(0, 0, 0, 0, 0)  # left out of the working copy on purpose
UNKNOWN = _SIGNATURE.pack(0, -1, -1, 0, 0)  # on disk, but nothing is known of it: compare the content


class DamagedIndexError(IntegrityError):
    """The index file of a working copy cannot be used; it can be made again."""


def signature(st: os.stat_result) -> bytes:
    """Return what of a file's stat tells whether it was touched."""
    return pack_signature(st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino, st.st_mode)


def changed_at(sig: bytes) -> int:
    """Return the ctime in a signature, nanoseconds."""
    when: int = _CTIME.unpack_from(sig)[0]
    return when


class Block(NamedTuple):
    """One directory: its names in order, joined by NUL, and their signatures, joined."""

    names: bytes
    signatures: bytes

    def entries(self) -> dict[bytes, bytes]:
        """Return name -> signature."""
        names, sigs = self.names, self.signatures
        if not sigs:
            return {}
        starts = range(0, len(sigs), SIGNATURE)
        return {name: sigs[at : at + SIGNATURE] for name, at in zip(names.split(b"\0"), starts, strict=True)}

    def name_list(self) -> list[bytes]:
        """Return the names in order."""
        return self.names.split(b"\0") if self.signatures else []

    def changed(self, touched: Mapping[bytes, bytes | None]) -> Block:
        """Return the block with these signatures set (None: name gone); a few changes in a huge block stay cheap."""
        if not touched:
            return self
        if len(touched) > _SPLICES:
            entries = self.entries()
            for name, sig in touched.items():
                if sig is None:
                    entries.pop(name, None)
                else:
                    entries[name] = sig
            return make_block(entries)
        names, sigs = self.name_list(), bytearray(self.signatures)
        renamed = False
        for name, sig in touched.items():
            at = bisect_left(names, name)
            known = at < len(names) and names[at] == name
            renamed = renamed or (sig is None) == known or not known
            where = slice(at * SIGNATURE, (at + known) * SIGNATURE)
            if sig is not None:
                sigs[where] = sig
                names[at : at + known] = [name]
            elif known:
                del sigs[where], names[at]
        return Block(b"\0".join(names) if renamed else self.names, bytes(sigs))


EMPTY = Block(b"", b"")
_SPLICES = 500
_PIECE = 1 << 20


def make_block(entries: Mapping[bytes, bytes]) -> Block:
    """Return the block of name -> signature."""
    names = sorted(entries)
    return Block(b"\0".join(names), b"".join([entries[n] for n in names]))


@dataclass(slots=True)
class Index:
    """The tree that a working copy stands for, and the blocks of its directories by path (the root is b"").

    `stamp` is a time of the file system's clock (ns): a file changed at or after it may have been changed once more
    without a trace in its stat, so its content is compared (git calls such entries racy). `sparse` holds the
    patterns of a partial working copy, none for a full one. `names` says which paths lie under other names on disk; it
    is kept in a file of its own. `store` has the tree: where a folder that was ABSENT as one comes in part, the names
    of what stays absent are taken from there.
    """

    tree: TreeId
    stamp: int
    blocks: dict[bytes, Block] = field(default_factory=dict)
    sparse: tuple[bytes, ...] = ()
    names: NameMap = field(default_factory=NameMap, compare=False)
    partial: bool = field(default=False, compare=False)  # of a partial clone, which may lack what it does not want
    store: NodeStore | None = field(default=None, repr=False, compare=False)
    _read: tuple[Block, dict[bytes, bytes]] | None = field(default=None, repr=False, compare=False)

    @property
    def may_lack(self) -> bool:
        """Say whether something may have been left out of the working copy on purpose."""
        return self.partial or bool(self.sparse) or any(ABSENT in block.signatures for block in self.blocks.values())

    def update(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set the signatures of paths (None: gone); directories on the way are made, emptied ones stay.

        It comes before `tree` is set to another one.
        """
        by_directory: dict[bytes, dict[bytes, bytes | None]] = {}
        for path, sig in changes.items():
            directory, _, name = path.rpartition(b"/")
            by_directory.setdefault(directory, {})[name] = sig
        # What goes goes first: a folder may stand where a file was, and the other way round.
        for directory, names in by_directory.items():
            gone = {name: None for name, sig in names.items() if sig is None}
            for name in gone:
                if join(directory, name) in self.blocks:
                    self.forget(join(directory, name))
            if gone and directory in self.blocks:
                self.blocks[directory] = self.blocks[directory].changed(gone)
        spread: set[bytes] = set()
        for directory, names in by_directory.items():
            came = {name: sig for name, sig in names.items() if sig is not None}
            if not came:
                continue
            self._make_directory(directory, spread)
            for name, sig in came.items():
                path = join(directory, name)
                if sig == DIRECTORY:
                    self.blocks.setdefault(path, EMPTY)
                elif path in self.blocks:
                    self.forget(path)
            self.blocks[directory] = self.blocks[directory].changed(came)
        for directory in spread & by_directory.keys():
            gone = {name: None for name, sig in by_directory[directory].items() if sig is None}
            self.blocks[directory] = self.blocks[directory].changed(gone)

    def restamp(self, stamp: int) -> None:
        """Take a later time as the limit; a file that may have changed unseen by the old one counts as unknown."""
        limit = max(self.stamp, 1)  # what is no file has no time: 0
        for directory, block in self.blocks.items():
            if any(ctime >= limit for (ctime,) in _CTIMES.iter_unpack(block.signatures)):
                racy = {n: UNKNOWN for n, sig in block.entries().items() if changed_at(sig) >= limit}
                self.blocks[directory] = block.changed(racy)
        self.stamp = stamp

    def forget(self, directory: bytes) -> None:
        """Drop the blocks of a directory and of everything below it."""
        below = [directory]
        while below:
            path = below.pop()
            block = self.blocks.pop(path, None)
            if block is not None:
                below += [join(path, name) for name, sig in block.entries().items() if sig == DIRECTORY]

    def get(self, path: bytes) -> bytes | None:
        """Return the signature of a path, or None where it is not in the index."""
        directory, _, name = path.rpartition(b"/")
        block = self.blocks.get(directory)
        if block is None or name not in block.names:
            return None
        if self._read is None or self._read[0] is not block:
            self._read = (block, block.entries())  # many paths of one directory are asked for in a row
        return self._read[1].get(name)

    def is_absent(self, path: bytes) -> bool:
        """Say whether a path was left out of the working copy on purpose, or lies in a folder that was."""
        end = path.find(b"/")
        while end >= 0:
            sig = self.get(path[:end])
            if sig != DIRECTORY:
                return sig == ABSENT
            end = path.find(b"/", end + 1)
        return self.get(path) == ABSENT

    def block(self, directory: bytes) -> Block:
        """Return the block of a directory: with all names of one that is absent as a whole, else an empty one."""
        found = self.blocks.get(directory)
        if found is not None:
            return found
        if self.store is None or not self.is_absent(directory):
            return EMPTY
        entry = trees.lookup(self.store, self.tree, directory)
        if entry is None or entry.kind != EntryKind.TREE:
            return EMPTY
        names = b"\0".join(name for name, _ in trees.entries(self.store, entry.id))
        return Block(names, ABSENT * (names.count(b"\0") + 1)) if names else EMPTY

    def _make_directory(self, directory: bytes, spread: set[bytes]) -> None:
        """Make the blocks of a directory and those above; `spread` comes to hold those that were absent as a whole."""
        if directory in self.blocks:
            return
        self.blocks[directory] = block = self.block(directory)
        if block is not EMPTY:
            spread.add(directory)
        if directory:
            parent, _, name = directory.rpartition(b"/")
            self._make_directory(parent, spread)
            self.blocks[parent] = self.blocks[parent].changed({name: DIRECTORY})


def write_index(path: Path, index: Index) -> None:
    """Write an index atomically; not synced, because it can be made again from the working copy."""
    digest = blake3()
    for piece in _pieces(index):
        digest.update(piece)
    write_file(path, chain((MAGIC, digest.digest()), _pieces(index)), durable=False)


def _pieces(index: Index) -> Iterator[bytes]:
    """Yield the body of an index file bit by bit: it may have tens of megabytes."""
    packer = msgpack.Packer(use_bin_type=True)
    yield packer.pack_array_header(4 + 3 * len(index.blocks))
    yield packer.pack(VERSION) + packer.pack(index.tree) + packer.pack(index.stamp) + packer.pack(list(index.sparse))
    gathered: list[bytes] = []
    size = 0
    for directory in sorted(index.blocks):
        block = index.blocks[directory]
        if len(block.signatures) > _PIECE:  # a million files: to pack them takes several times their bytes
            yield b"".join(gathered)
            gathered, size = [packer.pack(directory)], 0
            for data in block:
                yield b"".join([*gathered, _bin_header(len(data))])
                yield data
                gathered = []
            continue
        gathered += (packer.pack(directory), packer.pack(block.names), packer.pack(block.signatures))
        size += len(block.signatures)
        if size > _PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def _bin_header(size: int) -> bytes:
    """Return what msgpack writes before so many bytes: https://github.com/msgpack/msgpack/blob/master/spec.md."""
    if size < 1 << 8:
        return struct.pack(">BB", 0xC4, size)
    return struct.pack(">BH", 0xC5, size) if size < 1 << 16 else struct.pack(">BI", 0xC6, size)


def read_index(path: Path) -> Index | None:
    """Return the index at `path`, or None where there is none.

    Raises:
        DamagedIndexError: when it does not match its checksum, or has another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    head = len(MAGIC) + ID_LENGTH
    body = memoryview(content)[head:]
    if content[: len(MAGIC)] != MAGIC or blake3(body).digest() != content[len(MAGIC) : head]:
        raise DamagedIndexError(
            f"the index {path} is damaged", hint="remove that file: the next command compares every file again"
        )
    flat = msgpack.unpackb(body, use_list=False)
    if flat[0] != VERSION:
        raise DamagedIndexError(
            f"the index {path} was written by another version of dsvc",
            hint="remove that file: the next command compares every file again",
        )
    _, tree, stamp, sparse = flat[:4]
    triples = zip(flat[4::3], flat[5::3], flat[6::3], strict=True)
    return Index(TreeId(tree), stamp, {d: Block(names, sigs) for d, names, sigs in triples}, tuple(sparse))


def file_clock(folder: Path) -> int:
    """Return the time (ns) that the file system gives to a file written now in `folder`."""
    probe = folder / "clock"
    with open(probe, "wb") as file:
        file.write(b"\0")
        file.flush()
        now = os.fstat(file.fileno())
    return max(now.st_mtime_ns, now.st_ctime_ns)


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of a name in a directory; the root is b""."""
    return directory + b"/" + name if directory else name


def parents(paths: Iterable[bytes]) -> set[bytes]:
    """Return the directories that lead to these paths, the root included."""
    found = {b""}
    for path in paths:
        directory = path.rpartition(b"/")[0]
        while directory and directory not in found:
            found.add(directory)
            directory = directory.rpartition(b"/")[0]
    return found
