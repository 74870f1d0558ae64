"""Whom a hub knows by their signatures: the files `allowed_signers` and `revoked_keys` in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dsvc.signing import Keygen, verify_signature

ALLOWED = "allowed_signers"
REVOKED = "revoked_keys"


@dataclass(frozen=True, slots=True)
class Signers:
    """Who may sign, and which keys count no more; None where no file says it. Without the first nobody is known."""

    allowed: bytes | None
    revoked: bytes | None

    def why_not(self, payload: bytes, signature: bytes | None, at: int) -> str | None:
        """Say why a signature of `payload`, made at `at` (microseconds), is worth nothing; None where it is good.

        Raises:
            SigningProgramError: when ssh-keygen is missing or dies.
        """
        if signature is not None and self.allowed is None:
            return "this hub has no list of allowed signers"
        verdict = verify_signature(payload, signature, self.allowed, at, revoked=self.revoked, keygen=Keygen())
        if verdict.good:
            return None
        return verdict.reason or {"none": "it has none", "revoked": "its key is revoked"}.get(
            verdict.status, verdict.status
        )


def read_signers(hub: Path) -> Signers:
    """Return whom the hub in this folder knows; both files are read anew for each push."""
    return Signers(_read(hub / ALLOWED), _read(hub / REVOKED))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
