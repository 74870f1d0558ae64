"""Check a signature against the people who are allowed to sign."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from dsvc.signing.keygen import Keygen, readable
from dsvc.signing.sshsig import NAMESPACE, SshSignature, is_ssh_signature, read_signature
from dsvc.signing.verdict import Status, Verdict

_SECOND: Final = 1_000_000
_FIRST, _LAST = 2 * 86_400, 253_370_764_800  # what ssh-keygen can read in every zone: 1970-01-03 to 9999-01-01
_GOOD: Final = re.compile(r'^Good ".*" signature for (?P<who>.*) with (?P<type>\S+) key (?P<key>\S+)\s*$', re.MULTILINE)
_KRL: Final = b"SSHKRL\n\0"  # what a binary key revocation list begins with
_LINE: Final = re.compile(r"line (\d+) of the allowed signers: ")
_PLACE: Final = re.compile(r"^/dev/fd/\d+:(\d+): |^\S*dsvc-signing-\S*:(\d+): ")


def verify_signature(
    payload: bytes,
    signature: bytes | None,
    allowed_signers: bytes | None,
    at: int,
    *,
    namespace: str = NAMESPACE,
    revoked: bytes | None = None,
    keygen: Keygen | None = None,
) -> Verdict:
    """Say what a signature of `payload` is worth.

    `allowed_signers` is the content of a file of that name (ssh-keygen(1), "ALLOWED SIGNERS"), None where there is
    none: then nobody is known. `at` is the time of signing in microseconds since 1970 UTC, at which the key must be
    valid; it comes from what was signed, so a signer can set it back. `revoked` is the content of a key revocation
    list or of a file of public keys. Nothing stays on disk.

    Raises:
        SigningProgramError: when ssh-keygen is missing or dies.
    """
    if not signature:
        return Verdict("none")
    if not is_ssh_signature(signature):
        return Verdict("unchecked", reason=f"it is {_other_form(signature)}; dsvc checks SSH signatures")
    said = read_signature(signature)
    if said is None:
        return Verdict("bad", reason="it is damaged")
    if said.namespace != namespace:
        return _verdict("bad", said, f'it was made for "{said.namespace}", not for "{namespace}"')
    check = _Check(payload, signature, said, f"-Overify-time={_local(at)}", keygen or Keygen())
    return check.run(allowed_signers, revoked)


class _Check(NamedTuple):
    """One signature under check; `when` is ssh-keygen's option for the time."""

    payload: bytes
    signature: bytes
    said: SshSignature
    when: str
    keygen: Keygen

    def run(self, allowed: bytes | None, revoked: bytes | None) -> Verdict:
        """Try each signer whom the file names for this key; without one that fits find out why."""
        complaints = ["there is no list of allowed signers: sign.allowedSigners names none"] if allowed is None else []
        while allowed is not None:
            _, names, err = self._ask("find-principals", allowed=allowed)
            complaints += err
            for principal in filter(None, names.splitlines()):
                code, out, err = self._ask("verify", "-I", principal, allowed=allowed, revoked=revoked)
                found = _GOOD.search(out)
                if code == 0 and found is not None:
                    return Verdict("good", principal, found["key"], found["type"])
                if revoked is not None and self._ask("verify", "-I", principal, allowed=allowed)[0] == 0:
                    return self._revoked(revoked)
                complaints += err
            # Principals come from the first line that has the key, and a later one may allow what it does not.
            fewer = _without_lines(allowed, complaints) if names else allowed
            if fewer == allowed:
                complaints = complaints or ["no line of the allowed signers names this key"]
                break
            allowed = fewer
        code, _, err = self._ask("check-novalidate")
        if code and _is_misfit(err):
            return _verdict("bad", self.said, "it does not fit the content")
        if code:
            return _verdict("unchecked", self.said, _joined(err))
        return _verdict(_status(complaints), self.said, _joined(complaints))

    def _revoked(self, revoked: bytes) -> Verdict:
        """Return the verdict on a signature that only the revoked keys speak against; ssh-keygen does not say why."""
        if revoked.startswith(_KRL) or base64.b64encode(self.said.key) in revoked:
            return _verdict("revoked", self.said)
        return _verdict("unchecked", self.said, "the file of revoked keys is not of its form")

    def _ask(
        self, what: str, *arguments: str, allowed: bytes | None = None, revoked: bytes | None = None
    ) -> tuple[int, str, list[str]]:
        """Return ssh-keygen's exit code, its stdout, and what it complains of."""
        contents = [c for c in (self.signature, allowed, revoked) if c is not None]
        with readable(*contents) as (paths, descriptors):
            words = ["-Y", what, *arguments, "-s", paths[0], self.when]
            if what != "find-principals":
                words += ["-n", self.said.namespace]
            if allowed is not None:
                words += ["-f", paths[1]]
            if revoked is not None:
                words += ["-r", paths[-1]]
            done = self.keygen.run(words, self.payload, descriptors=descriptors)
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        kept = [_PLACE.sub(_line_of, line.strip()) for line in lines if line.strip()]
        kept = [line for line in kept if line != "No principal matched."]
        return done.returncode, done.stdout.decode("utf-8", "replace"), kept


def _verdict(status: Status, said: SshSignature, reason: str = "") -> Verdict:
    return Verdict(status, None, said.fingerprint, said.key_type, reason)


def _line_of(found: re.Match[str]) -> str:
    return f"line {found[1] or found[2]} of the allowed signers: "


def _without_lines(allowed: bytes, complaints: Sequence[str]) -> bytes:
    """Return the allowed signers without the lines that were complained of; the others keep their numbers."""
    lines = allowed.split(b"\n")
    for complaint in complaints:
        found = _LINE.match(complaint)
        if found is not None and int(found[1]) <= len(lines):
            lines[int(found[1]) - 1] = b""
    return b"\n".join(lines)


def _status(complaints: Sequence[str]) -> Status:
    """Return why a signature that fits is not accepted, by ssh-keygen's words on the lines that have its key."""
    text = "\n".join(complaints)
    if "expired" in text:
        return "expired"
    return "early" if "not yet valid" in text else "unknown"


def _is_misfit(complaints: Sequence[str]) -> bool:
    return not complaints or any("incorrect signature" in line for line in complaints)


def _joined(complaints: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(complaints))


def _local(at: int) -> str:
    """Return a time as ssh-keygen takes it. Versions before 9.1 know the local zone only."""
    seconds = min(max(at // _SECOND, _FIRST), _LAST)
    return time.strftime("%Y%m%d%H%M%S", time.localtime(seconds))


def _other_form(signature: bytes) -> str:
    if b"BEGIN PGP" in signature:
        return "a PGP signature"
    return "an X.509 signature" if b"BEGIN SIGNED MESSAGE" in signature else "of an unknown form"
