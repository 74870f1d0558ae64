"""The driver for audio: length, rate, how far two sounds are apart and where they differ; a page to listen to both.

WAV is read here. FLAC, Ogg and MP3 are read by libsndfile (the extra `audio`), without which their size is told.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dsvc.contents.driver import ContentDiff, ContentMerge, ContentSummary, MergeLabels, Settings, Source
from dsvc.contents.media.fingerprint import Form, fingerprint
from dsvc.contents.media.sides import both_on_page, compared, one_side, summed
from dsvc.contents.sizes import size_text

NAME = "audio"
MERGE_LIMIT = 1 << 40
_COMPARED = 64 << 20  # bytes of a file of which the sound is compared
_DECODED = 512 << 20  # bytes of its samples
_FRAMES = 1 << 16

_FORMS = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3\x03": "MP3", b"ID3\x04": "MP3"}
_MIMES = {"WAV": "audio/wav", "FLAC": "audio/flac", "Ogg": "audio/ogg", "MP3": "audio/mpeg"}


def diff(old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
    """Compare size, length and rate, how it sounds, and where it differs."""
    del settings
    return compared(NAME, _facts(old), _facts(new), _apart(old, new))


def merge(
    base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings
) -> ContentMerge:
    """Keep both sides beside each other."""
    del settings
    return one_side(base, ours, theirs, labels)


def summary(source: Source, settings: Settings) -> ContentSummary:
    """Say what kind of file it is and how long."""
    del settings
    return summed(NAME, _facts(source) or {})


def page(old: Source | None, new: Source | None, settings: Settings) -> str | None:
    """Give both to listen to."""
    del settings
    form = (_facts(new if new is not None else old) or {}).get("form", "")
    element = '<audio controls src="ADDRESS"></audio>'
    notes = [f"{name}: {value}" for name, value in _apart(old, new).items()]
    return both_on_page(element, _MIMES.get(form, "application/octet-stream"), old, new, notes)


def _apart(old: Source | None, new: Source | None) -> dict[str, str]:
    """Say how far two WAV files sound apart, and of two in one form which stretches of 10 ms differ."""
    try:
        before, after = _sound(old), _sound(new)
    except (RuntimeError, ValueError, OSError, MemoryError):  # in the middle of a damaged file
        return {}
    if before is None or after is None:
        return {}
    if before == after:
        return {"sound": "the same"}
    (form, a), (other, b) = before, after
    found: dict[str, str] = {}
    prints = fingerprint(form, a), fingerprint(other, b)
    if prints[0] is not None and prints[1] is not None:
        found["hash distance"] = f"{(prints[0] ^ prints[1]).bit_count()} of 64"
    if form == other:
        step = max(1, form.rate // 100) * form.frame
        count = -(-max(len(a), len(b)) // step)
        differ = [n for n in range(count) if a[n * step : (n + 1) * step] != b[n * step : (n + 1) * step]]
        found["stretches of 10 ms that differ"] = f"{len(differ)} of {count}, the first at {differ[0] / 100:.2f} s"
    return found


def _sound(source: Source | None) -> tuple[Form, bytes] | None:
    """Return the form of a sound and its samples; None for a file that is not understood or too large."""
    if source is None or source.size > _COMPARED:
        return None
    content = source.read()
    if not content.startswith(b"RIFF") or content[8:12] != b"WAVE":
        with _decoded(content) as file:
            return _samples_of(file) if file is not None else None
    return _wave_sound(content)


def _samples_of(file: Any) -> tuple[Form, bytes] | None:
    """Read a sound piece by piece: what its header says of its length may not be so."""
    form = Form(1, file.channels, file.samplerate, 2 * file.channels, 16)
    samples, piece = bytearray(), bytearray(_FRAMES * form.frame)
    while len(samples) <= _DECODED:
        count = file.buffer_read_into(piece, dtype="int16")
        samples += memoryview(piece)[: count * form.frame]
        if count < _FRAMES:
            return form, bytes(samples)
    return None


def _wave_sound(content: bytes) -> tuple[Form, bytes] | None:
    form: Form | None = None
    at = 12
    while at + 8 <= len(content):
        name, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if name == b"fmt ":
            form = Form.read(content[at + 8 : at + 8 + length])
        elif name == b"data":
            return (form, content[at + 8 : at + 8 + length]) if form is not None else None
        at += 8 + length + length % 2
    return None


@contextmanager
def _decoded(content: bytes) -> Iterator[Any]:
    """Give a sound as libsndfile reads it, None where it does not or is not there; what it fails at ends the block."""
    try:
        from soundfile import SoundFile
    except (ImportError, OSError):
        yield None
        return
    from io import BytesIO

    try:
        file = SoundFile(BytesIO(content))
    except (RuntimeError, ValueError, TypeError, OSError):
        yield None
        return
    with file:
        yield file


def _facts(source: Source | None) -> dict[str, Any] | None:
    if source is None:
        return None
    head = source.head(1 << 16)
    wave = _wave(head, source.size)
    if wave is not None:
        return {"form": "WAV", "size": size_text(source.size), **wave}
    form = _FORMS.get(head[:4], "MP3" if head[:1] == b"\xff" else "unknown form")
    facts: dict[str, Any] = {"form": form, "size": size_text(source.size)}
    if form in _MIMES and source.size <= _COMPARED:
        with _decoded(source.read()) as file:
            if file is not None and file.samplerate:
                length = f"{file.frames / file.samplerate:.2f} s"
                facts |= {"channels": file.channels, "rate": f"{file.samplerate} Hz", "length": length}
    return facts


def _wave(head: bytes, size: int) -> dict[str, Any] | None:
    """Read the chunks of a RIFF file before its data: format, then length."""
    if not head.startswith(b"RIFF") or head[8:12] != b"WAVE":
        return None
    facts: dict[str, Any] = {}
    at, per_second = 12, 0
    while at + 8 <= len(head):
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt " and at + 24 <= len(head):
            _, channels, rate, per_second = struct.unpack("<HHII", head[at + 8 : at + 20])
            facts |= {"channels": channels, "rate": f"{rate} Hz"}
        elif name == b"data":
            if per_second:
                facts["length"] = f"{min(length, size - at - 8) / per_second:.2f} s"
            break
        at += 8 + length + length % 2
    return facts
