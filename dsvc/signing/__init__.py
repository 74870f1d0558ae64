"""Signatures by SSH keys: made and checked by `ssh-keygen -Y`; this package knows bytes, not commits."""

from dsvc.signing.keygen import Keygen, SigningFailedError, SigningProgramError, sign_payload
from dsvc.signing.sshsig import NAMESPACE, SshSignature, is_ssh_signature, read_signature
from dsvc.signing.verdict import LETTERS, UNSIGNED, Status, Verdict
from dsvc.signing.verify import verify_signature

__all__ = [
    "LETTERS",
    "NAMESPACE",
    "UNSIGNED",
    "Keygen",
    "SigningFailedError",
    "SigningProgramError",
    "SshSignature",
    "Status",
    "Verdict",
    "is_ssh_signature",
    "read_signature",
    "sign_payload",
    "verify_signature",
]
