"""Read what decides which bytes stay, and compare it, for the packs that it comes from are deleted then.

That is frames which go into other packs, and the maps of files, which say what is needed.

A byte that changed on its way from a place far away, or in a memory that is going bad, would otherwise stay for good.
What does not fit is read once more. The map of a file cannot be compared with its id. It fits when everything that it
lists is there, with the length that it says, and else when it comes the same way twice.
"""

from __future__ import annotations

from dsvc.errors import IntegrityError
from dsvc.objects.filemap import decode_page
from dsvc.objects.ids import Kind, ObjectId, object_id
from dsvc.objects.packindex import Place
from dsvc.objects.packref import PackRef
from dsvc.objects.packs import DamagedPackError, PackSet
from dsvc.storage.gathering import again

Members = list[tuple[ObjectId, Place]]
_READS = 4
_KINDS = frozenset(map(int, Kind))


class UnsoundError(DamagedPackError):
    """An object in a pack is not what its id says."""


def read_sound(packs: PackSet, ref: PackRef, number: int, members: Members) -> tuple[bytes, bytes]:
    """Return a frame of a pack as it is stored and as it is plain; all of `members` are what their ids say.

    Raises:
        UnsoundError: when they are not, also when read again.
    """
    frame = packs.index(ref).frame(number)
    stored, fault = packs.stored_frame(ref, frame), ""
    for _ in range(_READS):
        try:
            plain = packs.decoded(ref, number, stored)
            sound, fault = _judge(packs, members, plain)
            if sound:
                return stored, plain
        except IntegrityError as error:
            fault = error.message
        before, stored = stored, again(packs.backend, ref.key, offset=frame.offset, length=frame.stored)
        if stored == before:
            if fault:
                break
            return stored, plain
    fault = fault or f"frame {number} is another one each time it is read"
    raise UnsoundError(f"pack {ref.id.hex()} cannot be written anew: {fault}", hint="dsvc fsck")


def read_map(packs: PackSet, ref: PackRef, file_id: bytes, place: Place) -> bytes:
    """Return the map of a file that lies in a pack, for somebody who takes what it does not list for garbage.

    One that lists something that is not there is read again, until it comes the same way twice.

    Raises:
        IntegrityError: when it cannot be read, or is another one each time.
    """
    payload = packs.read(ref, place)
    if _names_what_is_there(packs, payload):
        return payload
    return read_object(packs, ref, file_id, place)


def read_object(packs: PackSet, ref: PackRef, wanted: bytes, place: Place) -> bytes:
    """Return an object of a pack, read from where it is and again where it does not fit.

    Raises:
        IntegrityError: when it is damaged there too.
    """
    _, plain = read_sound(packs, ref, place.frame, [(ObjectId(wanted), place)])
    return plain[place.offset : place.offset + place.length]


def _judge(packs: PackSet, members: Members, plain: bytes) -> tuple[bool, str]:
    """Say whether all is what it should be, and what is not; neither, where there are maps of which nobody knows."""
    sound = True
    for wanted, place in members:
        payload = plain[place.offset : place.offset + place.length]
        if place.kind == Kind.FILE_MAP or place.kind not in _KINDS:
            sound = sound and place.kind in _KINDS and _lists_what_is_there(packs, payload)
        elif object_id(Kind(place.kind), payload) != wanted:
            return False, f"object {wanted.hex()} has another content than its id says"
    return sound, ""


def _lists_what_is_there(packs: PackSet, payload: bytes) -> bool:
    try:
        page = decode_page(payload)
        if page.level:
            return False  # the lengths of pages are in no index
        for part in page.parts:
            found = packs.find(part.id, Kind.CHUNK)
            if found is None or found[1].length != part.length:
                return False
    except IntegrityError:
        return False
    return True


def _names_what_is_there(packs: PackSet, payload: bytes) -> bool:
    """Say whether everything that a map lists is stored; the lengths of pages count for nothing here."""
    try:
        page = decode_page(payload)
        if page.level:
            return all(packs.find(part.id, Kind.MAP_PAGE) is not None for part in page.parts)
    except IntegrityError:
        return False
    return _lists_what_is_there(packs, payload)
