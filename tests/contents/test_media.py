from __future__ import annotations

import io
import math
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


def tones(
    *pitches: float, rate: int = 16000, width: int = 2, channels: int = 1, loud: float = 0.8, seconds: float = 2
) -> bytes:
    """A sound that has these pitches, one after the other, and their overtones."""
    frames = int(rate * seconds)
    values = []
    for at in range(frames):
        pitch = pitches[at * len(pitches) // frames] * 2 * math.pi * at / rate
        values.append(loud * (math.sin(pitch) + math.sin(2 * pitch) / 2 + math.sin(5 * pitch) / 9) / 1.7)
    made = b"".join(written(value, width) * channels for value in values)
    return wav(made, rate=rate, width=width, channels=channels)


def written(value: float, width: int) -> bytes:
    if width == 1:
        return bytes([128 + int(value * 127)])
    return int(value * ((1 << (8 * width - 1)) - 1)).to_bytes(width, "little", signed=True)


def wav(samples: bytes, *, rate: int, width: int, channels: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return out.getvalue()


def distance(old: bytes, new: bytes) -> int | None:
    found = audio.diff(Source.of(old), Source.of(new), Settings())
    texts = [line.text for line in found.lines if "hash distance" in line.text]
    return int(texts[0].split(":")[1].split(" of ")[0]) if texts else None


def test_how_far_two_sounds_are_apart() -> None:
    song = 220.0, 880.0, 110.0, 440.0, 1760.0, 220.0, 55.0, 330.0
    first = tones(*song)
    for near in (
        tones(*song, loud=0.3),
        tones(*song, width=1),
        tones(*song, width=3),
        tones(*song, width=4, channels=2),
        tones(*song, rate=8000),
        tones(*song, rate=32000, seconds=2.1),
    ):
        found = distance(first, near)
        assert found is not None
        assert found <= 6
    for far in (tones(*reversed(song)), tones(1760.0), tones(*(pitch * 4 for pitch in song))):
        found = distance(first, far)
        assert found is not None
        assert found >= 10
    page = audio.page(Source.of(first), Source.of(tones(1760.0)), Settings())
    assert page is not None
    assert "hash distance: " in page
    assert page.count("<audio controls") == 2


def test_sounds_of_floats_and_of_forms_that_are_not_known() -> None:
    song = [math.sin(at / 20) / 2 for at in range(8000)]
    samples = b"".join(written(value, 2) for value in song)
    plain = wav(samples, rate=8000, width=2, channels=1)

    def riff(code: int, bits: int, data: bytes, more: bytes = b"") -> bytes:
        form = struct.pack("<HHIIHH", code, 1, 8000, 8000 * bits // 8, bits // 8, bits) + more
        chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
        return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks

    assert distance(plain, riff(3, 32, struct.pack("<8000f", *song))) == 0
    assert distance(plain, riff(3, 64, struct.pack("<8000d", *song))) == 0
    extensible = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
    said = audio.diff(Source.of(plain), Source.of(riff(0xFFFE, 16, samples, extensible)), Settings())
    assert " sound: the same" in [line.text for line in said.lines]
    assert distance(plain, riff(0xFFFE, 16, samples[:-2], extensible)) == 0
    assert distance(plain, riff(2, 4, samples)) is None  # ADPCM
    assert distance(plain, riff(1, 16, b"")) is None
    for value in (math.nan, math.inf, 1e300):
        assert distance(plain, riff(3, 64, struct.pack("<4000d", *[value] * 4000))) is not None


@pytest.mark.parametrize("form", ["FLAC", "OGG", "MP3"])
def test_sounds_of_other_forms_are_compared_too(form: str) -> None:
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (pip install 'dsvc[audio]')")
    first, far = tones(220.0, 880.0, 110.0, 1760.0), tones(1760.0, 55.0)

    def packed(content: bytes) -> bytes:
        samples, rate = soundfile.read(io.BytesIO(content))
        out = io.BytesIO()
        soundfile.write(out, samples, rate, format=form)
        return out.getvalue()

    near = distance(tones(220.0, 880.0, 110.0, 1760.0, loud=0.5), packed(first))
    assert near is not None
    assert near <= 12  # what is thrown away in packing lies in octaves that are silent here
    apart = distance(packed(first), packed(far))
    assert apart is not None
    assert apart > near
    (line,) = audio.summary(Source.of(packed(first)), Settings()).lines
    assert "channels 1, rate 16000 Hz, length " in line.text
    content = packed(first)
    for broken in (content[:40], content[: len(content) // 2], content[:100] + bytes(500) + content[600:]):
        audio.diff(Source.of(broken), Source.of(content), Settings())
        audio.summary(Source.of(broken), Settings())


def test_a_flac_file_says_where_it_differs() -> None:
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (pip install 'dsvc[audio]')")

    def packed(samples: list[float]) -> Source:
        out = io.BytesIO()
        soundfile.write(out, samples, 8000, format="FLAC")
        return Source.of(out.getvalue())

    song = [math.sin(at / 20) / 2 for at in range(8000)]
    said = audio.diff(packed(song), packed([*song[:4000], 0.0, *song[4001:]]), Settings())
    assert " stretches of 10 ms that differ: 1 of 100, the first at 0.50 s" in [line.text for line in said.lines]
