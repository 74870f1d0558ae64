"""Where the upkeep of a hub is done: on its host, for no account may take away or write anew what is stored there."""

from __future__ import annotations

from pathlib import Path

from dsvc.errors import RemoteError
from dsvc.remotes.address import SshAddress, parse_address
from dsvc.remotes.wire.publish import Publisher

GC = "cd {} && dsvc gc"
PURGE = "dsvc purge PATH --remote {} --reason TEXT, in a clone of it"
REPAIR = "dsvc fsck --remote {} --full --repair-from OTHER, in a clone of it"
CHECK = "dsvc remote check {}"


class HubUpkeepError(RemoteError):
    """What was asked for is done on the host of the hub."""


def refuse_on_hub(publisher: Publisher | None, address: str, *, shown: str, what: str, command: str) -> None:
    """Refuse upkeep of a hub from afar; `command` is what does it on its host, with {} for the folder there.

    Raises:
        HubUpkeepError: where there is a `publisher`, as at a hub.
    """
    if publisher is None:
        return
    where = parse_address(address, directory=Path("/"))
    name = where.path.removeprefix("~").strip("/") if isinstance(where, SshAddress) else "NAME"
    raise HubUpkeepError(
        f"{shown} is on a hub, where no account may {what}",
        hint=f"on the host, where HUB is the folder of the hub: {command.format(f'HUB/repos/{name}')}",
    )
