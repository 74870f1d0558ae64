"""A fingerprint of a sound: 64 bits that a change of volume, rate or sample format leaves nearly as they are.

The sound is cut into eight parts of one length. Of each, the energies in nine octaves below 22,050 Hz are compared,
each with the next one below: that is one bit. What a difference hash is for images (steps between neighbours), this
is for sounds. Octaves come from the Haar wavelet: the means of pairs are the next octave's signal, their halved
differences are this one's.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import NamedTuple

_PARTS, _OCTAVES = 8, 9
_HIGHEST = 44_100  # samples a second of a sound whose first octave counts as the first
_BLOCK = 4096  # frames that are listened to at once: the lowest octave has eight values then
_BLOCKS = 8  # in a part, evenly over it: an hour takes no longer than a minute
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


class Form(NamedTuple):
    """How the samples of a WAV file are written, as its `fmt ` chunk has it; all numbers of one form are equal."""

    code: int
    channels: int
    rate: int
    frame: int
    bits: int

    @classmethod
    def read(cls, chunk: bytes) -> Form | None:
        """Return the form that a `fmt ` chunk says; None for one that makes no sense.

        An extensible form has the true code in the first two bytes of its GUID.
        """
        if len(chunk) < 16:
            return None
        code, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", chunk)
        if code == _EXTENSIBLE and len(chunk) >= 26:
            code = int.from_bytes(chunk[24:26], "little")
        return cls(code, channels, rate, frame, bits) if channels and rate and frame else None


def fingerprint(form: Form, samples: bytes) -> int | None:
    """Return the 64 bits of a sound; None where its samples are in a form that is not known (compressed ones)."""
    width, frames = form.bits // 8, len(samples) // form.frame
    if (form.code, width) not in _KNOWN or form.frame != width * form.channels or not frames:
        return None
    shift = round(math.log2(_HIGHEST / form.rate))
    found = 0
    for part in range(_PARTS):
        begin, end = frames * part // _PARTS, frames * (part + 1) // _PARTS
        energies = [0.0] * _OCTAVES
        for first in _starts(begin, end):
            block = samples[first * form.frame : min(first + _BLOCK, end) * form.frame]
            _add_octaves(energies, _mono(form, width, block), shift)
        for octave in range(_OCTAVES - 1):
            found = found << 1 | (energies[octave] > energies[octave + 1])
    return found


def _starts(begin: int, end: int) -> Sequence[int]:
    room = end - begin - _BLOCK
    if room <= 0:
        return (begin,)
    count = min(_BLOCKS, -(-(end - begin) // _BLOCK))
    return [begin + room * n // max(1, count - 1) for n in range(count)]


_KNOWN = {(_PCM, 1), (_PCM, 2), (_PCM, 3), (_PCM, 4), (_FLOAT, 4), (_FLOAT, 8)}


def _mono(form: Form, width: int, block: bytes) -> list[float]:
    """Return the sums of all channels of each frame, in units of the largest value of a sample."""
    block = block[: len(block) // form.frame * form.frame]
    values: Sequence[float]
    if form.code == _PCM and width == 1:
        values, scale = [value - 128 for value in block], 128.0
    elif form.code == _PCM and width == 3:
        values = [int.from_bytes(block[at : at + 3], "little", signed=True) for at in range(0, len(block), 3)]
        scale = float(1 << 23)
    else:
        letters = {(_PCM, 2): "h", (_PCM, 4): "i", (_FLOAT, 4): "f", (_FLOAT, 8): "d"}
        numbers = array(letters[form.code, width], block)
        if sys.byteorder == "big":
            numbers.byteswap()
        values, scale = numbers, float(1 << (8 * width - 1)) if form.code == _PCM else 1.0
    frames = zip(*[iter(values)] * form.channels, strict=True)
    return [sum(frame) / scale for frame in frames]


def _add_octaves(energies: list[float], signal: list[float], shift: int) -> None:
    for level in range(_OCTAVES + abs(shift)):
        if len(signal) < 2:
            return
        pairs = list(zip(signal[0::2], signal[1::2], strict=False))
        octave = level + shift
        if 0 <= octave < _OCTAVES:
            energy = sum((a - b) * (a - b) for a, b in pairs) * (1 << level)
            energies[octave] += energy if math.isfinite(energy) else 0.0
        signal = [(a + b) / 2 for a, b in pairs]
