"""Sign commits and tags that are about to be stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from dsvc.objects.values import Commit, Tag, encode_commit, encode_tag
from dsvc.repo.tombstones import Tombstone, encode_tombstone
from dsvc.requests.event import Event, encode_event
from dsvc.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.signing import Keygen

Sign = bool | str | None
"""Whether to sign: as the settings say (None), not (False), with the key of the settings (True) or with this one."""


class Signer(NamedTuple):
    """Signs with one key."""

    key: str
    keygen: Keygen

    def commit(self, commit: Commit) -> Commit:
        """Return the commit with a signature over everything else in it; raises SigningFailedError."""
        return replace(commit, signature=self._sign(encode_commit(commit, signed=False)))

    def tag(self, tag: Tag) -> Tag:
        """Return the tag with a signature over everything else in it; raises SigningFailedError."""
        return replace(tag, signature=self._sign(encode_tag(tag, signed=False)))

    def event(self, event: Event) -> Event:
        """Return the event of a request with a signature over everything else in it; raises SigningFailedError."""
        return event._replace(signature=self._sign(encode_event(event, signed=False)))

    def tombstone(self, tombstone: Tombstone) -> Tombstone:
        """Return the note on erased content with a signature over everything else; raises SigningFailedError."""
        return tombstone._replace(signature=self._sign(encode_tombstone(tombstone, signed=False)))

    def _sign(self, payload: bytes) -> bytes:
        from dsvc.signing import sign_payload

        return sign_payload(payload, self.key, keygen=self.keygen)


def find_signer(
    workspace: Workspace, sign: Sign, *, setting: Literal["commit.sign", "tag.sign"] = "commit.sign"
) -> Signer | None:
    """Return what signs, None where nothing is to be signed.

    A key in `sign` is a path from the current folder, or `key::` and a public key. Actions ask before they do anything
    else, so that a missing key is said at once.

    Raises:
        NoSigningKeyError: when nothing says which key.
    """
    if sign is False or (sign is None and not workspace.config.get_bool(setting)):
        return None
    from dsvc.signing import Keygen

    settings = workspace.surroundings.signing()
    key = sign if isinstance(sign, str) else settings.signing_key()
    return Signer(key, Keygen(settings.program, settings.environment))
