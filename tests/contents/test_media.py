from __future__ import annotations

import io
import struct
import wave

import pytest
from PIL import Image

from dsvc.contents.driver import MergeLabels, Settings, Source
from dsvc.contents.media import audio, image


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), step: int = 0, turned: bool = False) -> bytes:
    made = Image.new("RGB", size)
    made.putdata([((x * 5 + step) % 256, y * 7 % 256, 20) for y in range(size[1]) for x in range(size[0])])
    out = io.BytesIO()
    (made.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if turned else made).save(out, form)
    return out.getvalue()


def shown(old: bytes, new: bytes) -> list[str]:
    return [line.text for line in image.diff(Source.of(old), Source.of(new), Settings()).lines]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP"])
def test_forms_and_pixels_by_their_headers(form: str) -> None:
    (line,) = image.summary(Source.of(picture(form)), Settings()).lines
    assert line.text.startswith(form)
    assert line.text.endswith("pixels 40 x 30")


def test_how_far_two_images_look_apart() -> None:
    near, far = shown(picture(), picture(step=3)), shown(picture(), picture(turned=True))
    assert near[-2] == " hash distance: 0 of 64"
    assert near[-1] == " mean step of a pixel: 1.00 of 255"
    assert int(far[-2].split()[2]) > 20
    assert " pixels: 40 x 30 -> 20 x 10" in shown(picture(), picture(size=(20, 10)))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", picture()[:60], b"GIF8", b"\xff\xd8\xff", b"nothing"])
def test_broken_images_are_told_by_their_size(data: bytes) -> None:
    assert any("size" in text for text in shown(picture(), data))


def sound(seconds: float) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<hh", 1, 2) * int(8000 * seconds))
    return out.getvalue()


def test_sounds_have_a_length() -> None:
    found = audio.diff(Source.of(sound(1)), Source.of(sound(1.5)), Settings())
    assert " length: 1.00 s -> 1.50 s" in [line.text for line in found.lines]
    assert audio.summary(Source.of(b"RIFF"), Settings()).lines[0].text == "unknown form, 4 B"


def test_pages_show_both_sides_and_merges_keep_them() -> None:
    sides = Source.of(picture()), Source.of(picture(step=9))
    page = image.page(*sides, Settings())
    assert page is not None
    assert page.count("data:image/png;base64,") == 2
    assert image.merge(None, *sides, MergeLabels(), Settings()).content is None
    taken = image.merge(None, *sides, MergeLabels(favor="theirs"), Settings()).content
    assert taken is not None
    assert b"".join(taken) == picture(step=9)


def test_sound_says_where_it_differs():
    before = sound(1)
    at = len(before) * 3 // 4 // 2 * 2
    after = before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :]
    (line,) = [x.text for x in audio.diff(Source.of(before), Source.of(after), Settings()).lines if "stretch" in x.text]
    assert " 1 of " in line
    page = audio.page(Source.of(before), Source.of(after), Settings())
    assert page is not None
    assert "1 of " in page
    same = audio.diff(Source.of(before), Source.of(before), Settings())
    assert not [x for x in same.lines if "stretch" in x.text]
    for broken in (b"RIFF", before[:30], before[:22] + bytes(4) + before[26:], before[:36]):
        audio.diff(Source.of(broken), Source.of(after), Settings())
