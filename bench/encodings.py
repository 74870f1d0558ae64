"""Measure cut sizes and encodings on versions of a folder: bytes stored, growth, chunks, CPU seconds.

    python bench/encodings.py V1 V2 V3          each a folder that holds one version of the same data

The first table varies the average chunk for files above the small limit, with the joined size of one
frame and the zstd level; the second one the group size of small files and a trained dictionary; the
third says what deltas against the previous version's chunks would save. docs/design/0002 has the results
that the constants of the format were chosen by.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import zstandard
from blake3 import blake3
from pyfastcdc.cy import FastCDC

from dsvc.objects import chunker
from dsvc.objects.encodings import DELTA_LEVEL, Encoder

INDEX_BYTES = 65  # an entry of a pack's index
MAP_BYTES = 36  # an entry of a file's map: an id and a length
KIB = 1024


def files(root: Path) -> Iterator[bytes]:
    """Yield the content of every file below `root`, in the order of their paths."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name).read_bytes()


def stored_bytes(encoder: Encoder, pieces: list[tuple[int, memoryview]], frame: int) -> int:
    """Return what `pieces`, given with their offsets, take when neighbours are joined to frames of `frame` bytes."""
    if not frame:
        return sum(len(stored) for _, stored in encoder.encode_run(pieces))
    total, size = 0, 0
    group: list[memoryview] = []
    for _, piece in pieces:
        if group and size + len(piece) > frame:
            total += len(encoder.encode(b"".join(group))[1])
            group, size = [], 0
        group.append(piece)
        size += len(piece)
    return total + (len(encoder.encode(b"".join(group))[1]) if group else 0)


def bulk(versions: list[Path], average: int, *, frame: int, level: int, normalisation: int) -> str:
    """Cut, hash and encode the large files of all versions; return one row of the table."""
    encoder, seen, cells = Encoder(level=level), set[bytes](), []
    cdc = FastCDC(average, min_size=average // 4, max_size=average * 4, normalized_chunking=normalisation)
    for version in versions:
        stored, entries, maps, cpu = 0, 0, 0, 0.0
        for data in files(version):
            if len(data) <= chunker.SMALL_LIMIT:
                continue
            start = time.process_time()
            new, at = [], 0
            for chunk in cdc.cut_buf(data):
                digest = blake3(chunk.data).digest()
                maps += 1
                if digest not in seen:
                    seen.add(digest)
                    new.append((at, chunk.data))
                at += len(chunk.data)
            stored += stored_bytes(encoder, new, frame)
            cpu += time.process_time() - start
            entries += len(new)
        total = stored + entries * INDEX_BYTES + maps * MAP_BYTES
        cells.append(f"{total / 1e6:8.2f} MB {entries:6d} {cpu:5.2f} s")
    title = f"{average // KIB:5d} {frame // KIB:5d} {level:2d} {normalisation:2d}"
    return f"{title} | " + " | ".join(cells)


def small(versions: list[Path], group: int, *, level: int) -> str:
    """Group and encode the small files of all versions; return one row of the table."""
    encoder, seen, cells = Encoder(level=level), set[bytes](), []
    for version in versions:
        start = time.process_time()
        new = []
        for data in files(version):
            digest = blake3(data).digest()
            if len(data) <= chunker.SMALL_LIMIT and digest not in seen:
                seen.add(digest)
                new.append(data)
        read = time.process_time() - start
        start = time.process_time()
        stored = stored_bytes(encoder, new, group)
        cells.append(
            f"{stored / 1e6:8.2f} MB {len(new):6d} {read:5.2f} + {time.process_time() - start:5.2f} s"
        )
    return f"{group // KIB:5d} {level:2d} | " + " | ".join(cells)


def small_dictionary(version: Path, size: int, *, level: int) -> str:
    """Compress every small file of one version by itself with a trained dictionary."""
    pieces: list[bytes | bytearray | memoryview] = [
        data for data in files(version) if len(data) <= chunker.SMALL_LIMIT
    ]
    start = time.process_time()
    dictionary = zstandard.train_dictionary(size, pieces[:: max(1, len(pieces) // 2000)], level=level)
    trained = time.process_time()
    dictionary.precompute_compress(level=level)
    compressor = zstandard.ZstdCompressor(level=level, dict_data=dictionary, write_dict_id=False)
    stored = sum(min(len(compressor.compress(data)), len(data)) for data in pieces) + size
    end = time.process_time()
    times = f"{trained - start:.2f} s to train, {end - trained:.2f} s to compress"
    return f"dictionary {size // KIB} KiB, level {level}: {stored / 1e6:.2f} MB, {times}"


def deltas(versions: list[Path], average: int, *, frame: int) -> Iterator[str]:
    """Encode each new stretch of a version against the stretch of the previous one at the same place."""
    cdc = FastCDC(
        average, min_size=average // 4, max_size=average * 4, normalized_chunking=chunker.NORMALISATION
    )
    encoder = Encoder()
    for before, after in pairwise(versions):
        plain = delta = new_bytes = 0
        plain_cpu = delta_cpu = 0.0
        for old, new in zip(files(before), files(after), strict=False):
            known = {blake3(chunk.data).digest() for chunk in cdc.cut_buf(old)}
            shift, old_at, new_at = 0, 0, 0
            spans: list[tuple[int, int]] = []
            for chunk in cdc.cut_buf(new):
                if blake3(chunk.data).digest() in known:
                    # an unchanged chunk tells by how much the content around it has moved
                    place = old.find(bytes(chunk.data[:64]), old_at, old_at + 16 * frame)
                    if place >= 0:
                        shift, old_at = place - new_at, place
                elif spans and spans[-1][1] == new_at and new_at + chunk.length - spans[-1][0] <= frame:
                    spans[-1] = spans[-1][0], new_at + chunk.length
                else:
                    spans.append((new_at, new_at + chunk.length))
                new_at += chunk.length
            for first, last in spans:
                data = new[first:last]
                start = time.process_time()
                alone = len(encoder.encode(data)[1])
                middle = time.process_time()
                base = old[max(0, first + shift - 4096) : last + shift + 4096]
                against = len(encoder.encode_delta(data, base)[1]) if base else alone
                delta_cpu += time.process_time() - middle
                plain_cpu += middle - start
                plain, delta, new_bytes = plain + alone, delta + min(alone, against), new_bytes + len(data)
        yield (
            f"{average // KIB:5d} KiB, frames of {frame // KIB} KiB, {after.name}: new {new_bytes / 1e6:.1f} MB, "
            f"stored {plain / 1e6:.2f} MB in {plain_cpu:.2f} s, "
            f"as deltas (level {DELTA_LEVEL}) {delta / 1e6:.2f} MB in {delta_cpu:.2f} s"
        )


def show(line: str) -> None:
    """Print a line at once, so that a long run can be watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Print the tables for the folders on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("versions", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--average", type=int, nargs="*", default=[16, 32, 64, 128, 256, 1024], help="KiB")
    parser.add_argument("--frame", type=int, nargs="*", default=[0, 256, 1024], help="KiB; 0: one a chunk")
    parser.add_argument("--level", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--normalisation", type=int, nargs="*", default=[chunker.NORMALISATION])
    parser.add_argument("--group", type=int, nargs="*", default=[64, 256, 1024], help="KiB")
    parser.add_argument("--dictionary", type=int, default=64, help="KiB; 0 leaves it out")
    parser.add_argument("--delta", type=int, nargs="*", default=[], help="average KiB")
    options = parser.parse_args()
    for level in options.level:
        for normalisation in options.normalisation:
            for average in options.average:
                for frame in options.frame:
                    row = bulk(
                        options.versions,
                        average * KIB,
                        frame=frame * KIB,
                        level=level,
                        normalisation=normalisation,
                    )
                    show(row)
        for group in options.group:
            show(small(options.versions, group * KIB, level=level))
        if options.dictionary:
            show(small_dictionary(options.versions[0], options.dictionary * KIB, level=level))
    for average in options.delta:
        for line in deltas(options.versions, average * KIB, frame=256 * KIB):
            show(line)


if __name__ == "__main__":
    main()
