"""What came of checking a signature."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Status = Literal["good", "unknown", "expired", "early", "revoked", "bad", "none", "unchecked"]

LETTERS: Final[dict[Status, str]] = {
    "good": "G",
    "unknown": "U",
    "expired": "Y",
    "early": "Y",
    "revoked": "R",
    "bad": "B",
    "none": "N",
    "unchecked": "E",
}
"""Git's letters of `%G?`. Git has no letter for a key that was not valid yet."""


class Verdict(NamedTuple):
    """What came of checking a signature.

    `good`: by a signer who is allowed, with a key that was valid at the time. `unknown`: the signature fits, and no
    line of the allowed signers accepts the key. `expired`, `early`: it fits, and the key was not valid any more, or
    not yet, at the time. `revoked`: it fits, and the key is among those revoked. `bad`: it does not fit the content.
    `none`: there is none. `unchecked`: nothing can be said, and `reason` says why.

    `principal` is the signer as the allowed signers name them, only where `good`; `fingerprint` and `key_type` are the
    key's, where the signature says one; `reason` is for people, empty where there is nothing to add. `git_id` is the
    git object that the signature covers, in hex, where it is not one of dsvc's own.
    """

    status: Status
    principal: str | None = None
    fingerprint: str | None = None
    key_type: str | None = None
    reason: str = ""
    git_id: str | None = None

    @property
    def good(self) -> bool:
        """Whether somebody may rely on it."""
        return self.status == "good"

    @property
    def letter(self) -> str:
        """The letter of `%G?`."""
        return LETTERS[self.status]

    def __str__(self) -> str:
        """One sentence, without the reason."""
        key = f" with {self.key_type} key {self.fingerprint}" if self.fingerprint else ""
        match self.status:
            case "good":
                return f"Good signature by {self.principal}{key}"
            case "unknown":
                return f"Signature by an unknown signer{key}"
            case "expired":
                return f"Signature{key}, which had expired by then"
            case "early":
                return f"Signature{key}, which was not valid yet"
            case "revoked":
                return f"Signature{key}, which is revoked"
            case "bad":
                return f"BAD signature{key}"
            case "none":
                return "No signature"
            case "unchecked":
                return f"Signature not checked{key}"


UNSIGNED: Final = Verdict("none")
