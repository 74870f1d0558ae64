"""What a push hands to a hub: which refs are to move from what to what, and the packs that came for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId, OperationId, PackId
from dsvc.remotes.wire.frames import ProtocolError, field

if TYPE_CHECKING:  # the far end of a plain folder starts without them, and somebody waits for it
    from dsvc.objects.packlist import PackRef
    from dsvc.refs.view import Direct

FEATURE = "publish"
LEDGERS = "ledgers"  # the hub takes refs data/learned and data/where, as sets that only grow
MOST_OUTPUT = 64 << 10  # bytes of what hooks print that are passed on


class RefChange(NamedTuple):
    """A ref (full name) that is to go from one value to another; None where there is, or is to be, no such ref."""

    name: str
    old: Direct | None
    new: Direct | None


class Offer(NamedTuple):
    """A push: `base` is the operation that the near end saw last."""

    base: OperationId
    changes: tuple[RefChange, ...]
    packs: tuple[PackRef, ...]


class Published(NamedTuple):
    """The operation that a push became, and what the hooks of the hub printed."""

    operation: OperationId
    output: str = ""


class Publisher(Protocol):
    """A place that moves its refs itself, when it is asked to and agrees."""

    @property
    def takes_ledgers(self) -> bool:
        """Whether ledgers may be among them."""

    def publish(self, offer: Offer) -> Published:
        """Move all refs of an offer at once, or none. Asking again for what was done already does nothing.

        Raises:
            RefMovedError: when one of them has another value. RemoteError: when the place does not agree.
        """


@runtime_checkable
class PublishingPlace(Protocol):
    """A backend at the far end that is such a place, and that wants to know of an upload before it begins."""

    def publish(self, offer: Offer) -> Published:
        """See `Publisher.publish`."""

    def admit(self, key: str, size: int) -> None:
        """Raise RemoteError when a blob of so many bytes may not come."""


def encode_offer(offer: Offer) -> dict[str, Any]:
    """Return the fields of a `publish` request."""
    return {
        "base": bytes(offer.base),
        "refs": [[change.name, _encode(change.old), _encode(change.new)] for change in offer.changes],
        "packs": [[bytes(p.id), int(p.pack_class), p.size, p.index_offset, p.objects] for p in offer.packs],
    }


def decode_offer(fields: dict[str, Any]) -> Offer:
    """Return what the fields of a `publish` request say.

    Raises:
        ProtocolError: when they are not of their form.
    """
    base = field(fields, "base", bytes)
    rows, packs = field(fields, "refs", list), field(fields, "packs", list)
    try:
        if len(base) != ID_LENGTH:
            raise ValueError
        changes = tuple(RefChange(_text(name), _decode(old), _decode(new)) for name, old, new in rows)
        refs = tuple(_pack(*row) for row in packs)
        if len({c.name for c in changes}) < len(changes) or len({p.id for p in refs}) < len(refs):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise ProtocolError("the other end sends a push that cannot be read") from error
    return Offer(OperationId(ObjectId(base)), changes, refs)


def encode_published(published: Published) -> dict[str, Any]:
    """Return the fields of the answer."""
    return {"operation": bytes(published.operation), "output": published.output}


def decode_published(fields: dict[str, Any]) -> Published:
    """Return what the answer says."""
    return Published(OperationId(ObjectId(field(fields, "operation", bytes))), field(fields, "output", str))


def _encode(ref: Direct | None) -> list[Any] | None:
    return None if ref is None else [int(ref.kind), bytes(ref.id)]


def _decode(value: Any) -> Direct | None:
    from dsvc.refs.view import Direct

    if value is None:
        return None
    kind, target = value
    if type(kind) is not int or type(target) is not bytes or len(target) != ID_LENGTH:
        raise ValueError
    return Direct(Kind(kind), ObjectId(target))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _pack(pack_id: Any, pack_class: Any, *numbers: Any) -> PackRef:
    from dsvc.objects.packlist import PackClass, PackRef

    size, index_offset, objects = numbers
    if type(pack_id) is not bytes or len(pack_id) != ID_LENGTH or type(pack_class) is not int:
        raise ValueError
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
        raise ValueError
    return PackRef(PackId(pack_id), PackClass(pack_class), size, index_offset, objects)
