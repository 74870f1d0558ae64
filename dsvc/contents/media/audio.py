"""The driver for audio: WAV files by length, rate, how far they sound apart and where they differ, others by size.

A page has both to listen to.
"""

from __future__ import annotations

import struct
from typing import Any

from dsvc.contents.driver import ContentDiff, ContentMerge, ContentSummary, MergeLabels, Settings, Source
from dsvc.contents.media.fingerprint import Form, fingerprint
from dsvc.contents.media.sides import both_on_page, compared, one_side, summed
from dsvc.contents.sizes import size_text

NAME = "audio"
MERGE_LIMIT = 1 << 40
_COMPARED = 64 << 20  # bytes of a file of which the sound is compared

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
    before, after = _sound(old), _sound(new)
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
    """Return the form of a WAV file and its samples; None for others, and for those that are too large."""
    if source is None or source.size > _COMPARED:
        return None
    content = source.read()
    if not content.startswith(b"RIFF") or content[8:12] != b"WAVE":
        return None
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


def _facts(source: Source | None) -> dict[str, Any] | None:
    if source is None:
        return None
    head = source.head(1 << 16)
    wave = _wave(head, source.size)
    if wave is not None:
        return {"form": "WAV", "size": size_text(source.size), **wave}
    form = _FORMS.get(head[:4], "MP3" if head[:1] == b"\xff" else "unknown form")
    return {"form": form, "size": size_text(source.size)}


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
