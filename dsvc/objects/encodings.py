"""How one frame of a pack is stored: plain, compressed, against a base, or as planes of float bytes.

A frame is the stored form of one chunk or of a group of small objects that the caller joined. The pack's
index keeps the encoding, both lengths and the id, so a frame repeats none of them and carries no
checksum. The set of encodings is open: a repack may choose better ones. docs/formats/encodings.md has
the layout to the byte.
"""

from __future__ import annotations

import codecs
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import zstandard

from dsvc.errors import FormatTooNewError, IntegrityError
from dsvc.objects.planes import LENGTH, Grouping, distinct_values, likely_width, pack, probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from mmap import mmap

LEVEL = 1
"""zstd level of new frames; the reasons are in docs/design/0002-chunks-and-encodings.md."""

DELTA_LEVEL = 3
"""Levels below 3 skip over data that does not compress by itself and never find it in the base."""

_PROBE_FROM = 16 * 1024  # below this, compressing all of it costs no more than asking
_SAMPLE = 4 * 1024  # bytes of one sample; a multiple of 8, so that samples keep the phase of every plane
_WORTH = 0.97  # a frame that saves less than 3 % is stored raw: it is read far more often than written
_PLANES_FROM = 4 * 1024
_ALIKE = 0.03  # the share by which the savings of two pieces of one array differ at most
_TEXT = 0.5  # what compresses to less than this share is hardly ever an array of floats
_DENSE = 0.8  # to compress a group of noise in vain now and then costs less than to ask each group of text
_NOISE = 8  # pieces in a row that do not compress, half a MiB on average, behind which not each is asked
_STRIDE = 4
_ASK_AGAIN = 64  # pieces between two that both compressors are tried on


class Encoding(IntEnum):
    """The number in the index that says how a frame is stored."""

    RAW = 0
    ZSTD = 1
    DELTA = 2
    FLOAT16 = 3
    FLOAT32 = 4
    FLOAT64 = 5


PLANES: Final = {Encoding.FLOAT16: 2, Encoding.FLOAT32: 4, Encoding.FLOAT64: 8}
"""Bytes an element, and so planes a frame, of each byte-grouped encoding."""

_OF_WIDTH: Final = {width: encoding for encoding, width in PLANES.items()}


class DamagedFrameError(IntegrityError):
    """A stored frame does not decode to what the index says."""

    def __init__(self, encoding: int, reason: str) -> None:
        name = Encoding(encoding).name
        super().__init__(
            f"a stored frame ({name}) is damaged: {reason}", details={"encoding": name, "reason": reason}
        )


class UnknownEncodingError(FormatTooNewError):
    """A frame is stored in a way that this version does not know."""

    def __init__(self, encoding: int) -> None:
        super().__init__(
            f"a stored frame has encoding {encoding}, which this version of dsvc does not know",
            hint="install a newer dsvc",
            details={"encoding": encoding},
        )


class Encoder:
    """Encodes frames; keeps its compressors between calls, so every thread needs one of its own."""

    __slots__ = ("_dense", "_last", "_level", "_near", "_noise", "_plain", "_symbols", "_text", "_until_asked")

    def __init__(self, *, level: int = LEVEL) -> None:
        self._level = level
        self._last: Grouping | None = None
        self._plain = zstandard.ZstdCompressor(level=level)
        # Rows of a table repeat what stands a few rows above. A hash table that forgets the rest finds nearer matches,
        # which take fewer bits, and stays in the processor's first cache: on CSV 3 % smaller and 6 % faster.
        self._near = _fast_compressor(hash_log=10, min_match=6, window_log=18)
        # One plane of a float tensor is noise with a skewed distribution. Chance matches in it cost more
        # than the symbols they replace; a hash table this small finds runs and little else, and leaves the
        # rest to the entropy coder: 8 % smaller and three times as fast as level 1 on exponents.
        self._symbols = _fast_compressor(hash_log=6, min_match=7, window_log=20)
        self._dense = False  # whether the last frame compressed so well that the next is not asked whether it does
        self._text = self._plain  # what did better on the last piece that both were tried on
        self._until_asked = 0
        self._noise = 0  # pieces in a row that were found not to compress

    def encode(
        self, data: bytes | memoryview, *, allow_planes: bool = True
    ) -> tuple[Encoding, bytes | memoryview]:
        """Choose an encoding for `data` by samples of it and apply it; the result is never longer than `data`.

        `allow_planes` lets bytes of float arrays be grouped. A raw frame is `data` itself, not a copy.
        """
        return self._encode(data, allow_planes=allow_planes, compressed=None)

    def encode_run(
        self, pieces: Iterable[tuple[int, bytes | memoryview]]
    ) -> Iterator[tuple[Encoding, bytes | memoryview]]:
        """Encode pieces of one stream, each given with its offset there; the first one as `encode` does.

        What was chosen for a piece is applied to the next without samples, as long as it saves about as much. Behind
        noise every fourth piece is asked: where that is noise too, so are those before it.
        """
        waiting = deque(pieces)
        last, ratio, at = Encoding.RAW, 1.0, 0
        while waiting:
            if self._noise >= _NOISE and len(waiting) >= _STRIDE:
                if self._encode_next(waiting[_STRIDE - 1][1], after=Encoding.RAW)[0] == Encoding.RAW:
                    between = [waiting.popleft() for _ in range(_STRIDE)]
                    last, ratio, at = Encoding.RAW, 1.0, between[-1][0]
                    yield from ((Encoding.RAW, data) for _, data in between)
                    continue
                self._noise = 0
            run = self._alike(waiting, at) if last in PLANES else []
            for (offset, data, grouping), stored in zip(run, _in_planes((d, g) for _, d, g in run), strict=True):
                waiting.popleft()
                self._last = grouping
                alike = abs(len(stored[1]) / len(data) - ratio) < _ALIKE * ratio
                result = stored if alike else self._encode(data, allow_planes=True, compressed=None)
                last, ratio, at = result[0], len(result[1]) / len(data), offset
                yield result
                if not alike:
                    break
            else:
                if waiting:
                    offset, piece = waiting.popleft()
                    result = self._encode_next(piece, after=last)
                    last, ratio, at = result[0], len(result[1]) / len(piece), offset
                    self._noise = self._noise + 1 if last == Encoding.RAW and len(piece) >= _PROBE_FROM else 0
                    yield result

    def _alike(
        self, pieces: Iterable[tuple[int, bytes | memoryview]], at: int
    ) -> list[tuple[int, bytes, Grouping]]:
        """Return those of the next pieces, as far as they look like the one at `at`, with its grouping at theirs."""
        run: list[tuple[int, bytes, Grouping]] = []
        for offset, data in pieces:
            if self._last is None or len(data) < _PLANES_FROM or not (here := self._last.moved(offset - at)).fits(data):
                break
            run.append((offset, bytes(data), here))
        return run

    def _encode_next(self, data: bytes | memoryview, *, after: Encoding) -> tuple[Encoding, bytes | memoryview]:
        """Encode what follows a piece that was stored as `after`."""
        compressed = None
        if after == Encoding.ZSTD and len(data) >= _PROBE_FROM:
            compressed = self._compress_text(data)
            if len(compressed) < _TEXT * len(data):
                return _better(data, compressed)
        return self._encode(data, allow_planes=True, compressed=compressed)

    def _encode(
        self, data: bytes | memoryview, *, allow_planes: bool, compressed: bytes | None
    ) -> tuple[Encoding, bytes | memoryview]:
        """Choose and apply an encoding; `compressed` is what `data` comes to as text, where that was tried."""
        if len(data) < _PLANES_FROM or (self._dense and not allow_planes):
            return self._compressed_or_raw(data, compressed)
        sample = bytes(data) if len(data) < _PROBE_FROM else _sample(data)
        distinct = distinct_values(sample) if allow_planes else []
        width = likely_width(distinct)
        if width is None and (compressed is not None or len(data) < _PROBE_FROM):
            return self._compressed_or_raw(data, compressed)
        same = self._last.turned(width, distinct) if width and self._last else None
        if same is not None:
            # The chunks of one array follow each other: what paid for the last one is not asked again.
            (stored,) = _in_planes([(bytes(data), same)])
            if len(stored[1]) <= _WORTH * len(data):
                self._last = same
                return stored
        whole = len(self._plain.compress(sample))
        if width is not None:
            self._last = probe(sample, width, whole, distinct, plain=self._plain, symbols=self._symbols)
            if self._last is not None:
                (stored,) = _in_planes([(bytes(data), self._last)])
                return stored
        if whole > _WORTH * len(sample):
            return Encoding.RAW, data
        return self._compressed_or_raw(data, compressed)

    def _compressed_or_raw(
        self, data: bytes | memoryview, compressed: bytes | None
    ) -> tuple[Encoding, bytes | memoryview]:
        compressed = compressed or self._plain.compress(data)
        self._dense = len(compressed) < _DENSE * len(data)
        return _better(data, compressed)

    def _compress_text(self, data: bytes | memoryview) -> bytes:
        """Compress what is known to compress, by the compressor that does better with this kind of data."""
        if self._until_asked:
            self._until_asked -= 1
            return self._text.compress(data)
        self._until_asked = _ASK_AGAIN
        plain, near = self._plain.compress(data), self._near.compress(data)
        self._text = self._near if len(near) <= len(plain) else self._plain
        return min(plain, near, key=len)

    def encode_delta(self, data: bytes | memoryview, base: bytes | memoryview) -> tuple[Encoding, bytes]:
        """Compress `data` with the bytes of `base` as its dictionary; the caller decides whether it pays.

        Both should be at most a few MiB: a dictionary is indexed anew for every frame.
        """
        dictionary = zstandard.ZstdCompressionDict(bytes(base), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        parameters = zstandard.ZstdCompressionParameters.from_level(
            max(self._level, DELTA_LEVEL),
            source_size=len(data),
            dict_size=len(base),
            write_content_size=1,
            write_dict_id=0,
        )
        compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
        return Encoding.DELTA, compressor.compress(data)


class Decoder:
    """Decodes frames; keeps its decompressor between calls, so every thread needs one of its own."""

    __slots__ = ("_plain",)

    def __init__(self) -> None:
        self._plain = zstandard.ZstdDecompressor()

    def decode(
        self,
        encoding: int,
        stored: bytes | memoryview,
        *,
        plain_length: int,
        base: bytes | memoryview | None = None,
    ) -> bytes:
        """Return the plain bytes of a frame, exactly `plain_length` of them.

        `base` is the plain form of the base object and needed for DELTA alone. The lengths come from an
        index that was verified; the frame may be anything. No more memory than `plain_length` and a
        constant is taken, whatever the frame claims. The bytes may still be wrong: the caller compares
        the id. Raises DamagedFrameError, and UnknownEncodingError for a number of a later version.
        """
        if encoding == Encoding.RAW:
            if len(stored) != plain_length:
                raise DamagedFrameError(encoding, f"it has {len(stored)} bytes instead of {plain_length}")
            return bytes(stored)
        if encoding == Encoding.ZSTD:
            return _decompress(self._plain, Encoding.ZSTD, stored, plain_length)
        if encoding == Encoding.DELTA:
            if base is None:
                raise DamagedFrameError(encoding, "the index names no base object for it")
            dictionary = zstandard.ZstdCompressionDict(bytes(base), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
            decompressor = zstandard.ZstdDecompressor(dict_data=dictionary)
            return _decompress(decompressor, Encoding.DELTA, stored, plain_length)
        for planes, width in PLANES.items():
            if encoding == planes:
                plain = bytearray(plain_length)
                _join(self._planes(planes, width, stored, plain_length), plain, 0, plain_length)
                return bytes(plain)
        raise UnknownEncodingError(encoding)

    def decode_into(
        self, into: mmap, at: int, encoding: int, stored: bytes | memoryview, *, plain_length: int
    ) -> None:
        """Write the plain bytes of a frame without a base to `into`, from `at` on; what `decode` says holds here too.

        Arrays are put together where they are to lie, which takes half the time.
        """
        for planes, width in PLANES.items():
            if encoding == planes:
                _join(self._planes(planes, width, stored, plain_length), into, at, plain_length)
                return
        into[at : at + plain_length] = self.decode(encoding, stored, plain_length=plain_length)

    def _planes(
        self, encoding: Encoding, width: int, stored: bytes | memoryview, plain_length: int
    ) -> list[bytes | memoryview]:
        header = width * LENGTH.size
        if len(stored) < header:
            raise DamagedFrameError(encoding, f"{len(stored)} bytes do not hold its header")
        view = memoryview(stored)
        lengths = [length for (length,) in LENGTH.iter_unpack(view[:header])]
        if header + sum(lengths) != len(stored):
            raise DamagedFrameError(encoding, "the lengths of its planes do not add up to its length")
        planes: list[bytes | memoryview] = []
        at = header
        for phase, length in enumerate(lengths):
            part, at = view[at : at + length], at + length
            expected = len(range(phase, plain_length, width))
            if length > expected:
                raise DamagedFrameError(encoding, f"plane {phase} is longer than its plain form")
            planes.append(part if length == expected else _decompress(self._plain, encoding, part, expected))
        return planes


def _join(planes: Sequence[bytes | memoryview], into: bytearray | mmap, at: int, length: int) -> None:
    """Write what planes are of, byte k of each element from plane k, to `into` from `at` on."""
    width, end = len(planes), at + length
    widen = {2: codecs.utf_16_le_encode, 4: codecs.utf_32_le_encode}.get(width)
    if widen is not None:
        # Latin-1 as UTF-16 puts each byte before a zero, in a fifth of the time of an extended slice.
        into[at:end] = memoryview(widen(codecs.latin_1_decode(planes[0])[0])[0])[:length]
    for phase in range(0 if widen is None else 1, width):
        # Of a bytearray or a map such a slice takes bytes ten times as fast as of a memoryview.
        into[at + phase : end : width] = planes[phase]


def _fast_compressor(*, hash_log: int, min_match: int, window_log: int) -> zstandard.ZstdCompressor:
    """Return a compressor of the fastest strategy with a smaller table of what it has seen than its levels have."""
    parameters = zstandard.ZstdCompressionParameters(
        compression_level=1,
        strategy=zstandard.STRATEGY_FAST,
        window_log=window_log,
        hash_log=hash_log,
        chain_log=6,
        min_match=min_match,
        target_length=0,
        write_content_size=1,
    )
    return zstandard.ZstdCompressor(compression_params=parameters)


def _in_planes(pieces: Iterable[tuple[bytes, Grouping]]) -> list[tuple[Encoding, bytes]]:
    """Return each piece grouped as it says, or as it is where that takes no less."""
    given = list(pieces)
    frames = zip(given, pack(given), strict=True)
    return [(_OF_WIDTH[g.width], f) if len(f) < len(data) else (Encoding.RAW, data) for (data, g), f in frames]


def _better(data: bytes | memoryview, compressed: bytes) -> tuple[Encoding, bytes | memoryview]:
    if len(compressed) > _WORTH * len(data):
        return Encoding.RAW, data
    return Encoding.ZSTD, compressed


def _decompress(
    decompressor: zstandard.ZstdDecompressor,
    encoding: Encoding,
    stored: bytes | memoryview,
    plain_length: int,
) -> bytes:
    try:
        # The decompressor allocates what the frame claims, so the claim is compared before.
        claimed = zstandard.frame_content_size(stored)
        if claimed != plain_length:
            raise DamagedFrameError(encoding, f"it claims {claimed} plain bytes, the index {plain_length}")
        plain = decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedFrameError(encoding, f"zstd says: {error}") from error
    if len(plain) != plain_length:
        raise DamagedFrameError(encoding, f"it holds {len(plain)} plain bytes, the index says {plain_length}")
    return plain


def _sample(data: bytes | memoryview) -> bytes:
    """Return an eighth of `data` in pieces spread from start to end, each at a multiple of 8 bytes.

    A group of small files may hold images and text; fewer pieces would miss one or the other.
    """
    pieces = max(3, len(data) // (8 * _SAMPLE))
    stride = (len(data) - _SAMPLE) // (pieces - 1) // 8 * 8
    return b"".join([bytes(data[at : at + _SAMPLE]) for at in range(0, stride * pieces, stride)])
