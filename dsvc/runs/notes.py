"""Notes to a run, made after its record: comments, labels, and that it was removed. See docs/formats/run.md.

A note is an object of its own under the run's refs, so that adding one never moves a ref.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.runs.names import KEY_LENGTH, RunKey

What = Literal["comment", "labels", "removal"]


@dataclass(frozen=True, slots=True)
class Note:
    """Who said what of a run when: `time` in microseconds since 1970 UTC, `zone` in minutes east of UTC.

    `text` is a comment, or why the run was removed. `labels` are set by a note of that kind, None takes one away.
    """

    what: What
    run: RunKey
    user: str
    time: int
    zone: int
    text: str = ""
    labels: Mapping[str, str | None] = field(default_factory=dict)


def encode_note(note: Note) -> bytes:
    """Return the canonical bytes of a note."""
    fields: dict[str, object] = {
        "what": note.what,
        "run": note.run,
        "user": note.user,
        "time": note.time,
        "zone": note.zone,
    }
    if note.text:
        fields["text"] = note.text
    if note.labels:
        fields["labels"] = note.labels
    return codec.encode(fields)


def decode_note(payload: bytes) -> Note:
    """Return the note that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not a note's.
    """
    value = codec.decode(payload)
    match value:
        case {"what": str(what), "run": bytes(key), "user": str(user), "time": int(time), "zone": int(zone)}:
            assert isinstance(value, dict)
            text, labels = value.get("text", ""), value.get("labels", {})
            if what in get_args(What) and len(key) == KEY_LENGTH and isinstance(text, str) and isinstance(labels, dict):
                found = cast("dict[str, str | None]", labels)
                note = Note(cast("What", what), RunKey(key), user, time, zone, text, found)
                if all(v is None or isinstance(v, str) for v in labels.values()) and encode_note(note) == payload:
                    return note
    raise BadEncodingError("an object is not a note to a run")


def labels_after(labels: Mapping[str, str], notes: Iterable[Note]) -> dict[str, str]:
    """Return the labels of a run after the notes to it, in the order in which they were made."""
    found = dict(labels)
    for note in sorted(notes, key=lambda note: (note.time, encode_note(note))):
        for name, value in note.labels.items():
            if value is None:
                found.pop(name, None)
            else:
                found[name] = value
    return found
