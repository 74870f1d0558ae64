"""The driver for images. Pillow tells how they look; without it only their size in bytes and pixels is told."""

from __future__ import annotations

import struct
from typing import Any

from dsvc.contents.driver import ContentDiff, ContentMerge, ContentSummary, MergeLabels, Settings, Source
from dsvc.contents.media.sides import both_on_page, compared, one_side, summed
from dsvc.contents.sizes import size_text

NAME = "image"
MERGE_LIMIT = 1 << 40

_LARGEST = 100_000_000  # pixels that are looked at
_LIMIT = 256 << 20  # bytes
_MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp", "BMP": "image/bmp"}


def diff(old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
    """Compare size, pixels and looks."""
    del settings
    apart = _apart(old, new) if old is not None and new is not None else {}
    return compared(NAME, _facts(old), _facts(new), apart)


def merge(
    base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings
) -> ContentMerge:
    """Keep both sides beside each other: pixels are not merged."""
    del settings
    return one_side(base, ours, theirs, labels)


def summary(source: Source, settings: Settings) -> ContentSummary:
    """Say what kind of image it is and how large."""
    del settings
    return summed(NAME, _facts(source) or {})


def page(old: Source | None, new: Source | None, settings: Settings) -> str | None:
    """Show both side by side."""
    del settings
    form = (_facts(new if new is not None else old) or {}).get("form", "")
    apart = _apart(old, new) if old is not None and new is not None else {}
    notes = [f"{name}: {value}" for name, value in apart.items()]
    return both_on_page('<img src="ADDRESS" alt="">', _MIMES.get(form, "application/octet-stream"), old, new, notes)


def _facts(source: Source | None) -> dict[str, Any] | None:
    if source is None:
        return None
    form, width, height = _header(source.head(1 << 16))
    facts: dict[str, Any] = {"form": form, "size": size_text(source.size)}
    if width:
        facts["pixels"] = f"{width} x {height}"
    return facts


def _header(head: bytes) -> tuple[str, int, int]:
    """Return form, width and height by the first bytes; 0 where they do not tell."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        return "PNG", *struct.unpack(">II", head[16:24])
    if head.startswith(b"GIF8") and len(head) >= 10:
        return "GIF", *struct.unpack("<HH", head[6:10])
    if head.startswith(b"BM") and len(head) >= 26:
        return "BMP", *map(abs, struct.unpack("<ii", head[18:26]))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP", 0, 0
    if head.startswith(b"\xff\xd8"):
        return "JPEG", *_jpeg_size(head)
    if head.startswith((b"II*\0", b"MM\0*")):
        return "TIFF", 0, 0
    return "unknown form", 0, 0


def _jpeg_size(head: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + max(length, 2)
    return 0, 0


def _apart(old: Source, new: Source) -> dict[str, Any]:
    """Return how far two images look apart; nothing without Pillow, and for what it cannot read.

    The distance counts differing bits, of 64, of the signs of steps between neighbours in a picture of 9 by 8 (dHash).
    """
    try:
        from PIL import Image, ImageChops, ImageStat
    except ImportError:
        return {}
    from io import BytesIO

    try:
        a, b = (Image.open(BytesIO(side.read(_LIMIT))) for side in (old, new))
        if max(a.width * a.height, b.width * b.height) > _LARGEST:
            return {}
        bits = (_difference_hash(a) ^ _difference_hash(b)).bit_count()
        apart: dict[str, Any] = {"hash distance": f"{bits} of 64"}
        if a.size == b.size:
            steps = ImageStat.Stat(ImageChops.difference(a.convert("RGB"), b.convert("RGB"))).mean
            apart["mean step of a pixel"] = f"{sum(steps) / len(steps):.2f} of 255"
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError):
        return {}
    return apart


def _difference_hash(image: Any) -> int:
    small = image.convert("L").resize((9, 8)).tobytes()
    found = 0
    for row in range(8):
        for column in range(8):
            at = row * 9 + column
            found = found << 1 | (small[at] > small[at + 1])
    return found
