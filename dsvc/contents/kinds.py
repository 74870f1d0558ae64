"""What a file is, judged by its first bytes: binary or text, and whether it holds a secret key."""

from __future__ import annotations

import re

BINARY_HEAD = 8000
"""How many bytes decide whether a file is binary: git's figure, so that both tools agree on a file."""

# The armour must be followed by what a key looks like (header lines, then base64), so that code and prose
# that only name the armour pass. Line ends may be real, or written as \n in JSON, YAML and .env files.
_LINE_END = rb"(?:\s|\\r|\\n|[\"'+>|\\])"
_ARMOURED_KEY = re.compile(
    rb"-----?\s?BEGIN ((?:[A-Z0-9]+ ){0,3})PRIVATE KEY( BLOCK)?\s?-----?"
    + _LINE_END
    + rb"{1,64}(?:[A-Za-z][A-Za-z-]{2,20}: [^\n\\]{0,200}"
    + _LINE_END
    + rb"{1,16}){0,8}([A-Za-z0-9+/=]{40,})"
)
_PUTTY_KEY = re.compile(rb"\A\s*PuTTY-User-Key-File-\d: ")
_AGE_KEY = re.compile(rb"\bAGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}\b")
_SERVICE_ACCOUNT = re.compile(rb'"type"\s*:\s*"service_account"')
_SERVICE_KEY = re.compile(rb'"private_key"\s*:\s*"-----BEGIN ')
_AWS_SECRET = re.compile(
    rb"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY|SecretAccessKey)[\"']?\s{0,8}[=:]\s{0,8}[\"']?"
    rb"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
_PKCS12 = re.compile(rb"\x30[\x80-\x84].{0,4}\x02\x01\x03\x30", re.DOTALL)
_AWS_NAMES = (b"aws_secret_access_key", b"AWS_SECRET_ACCESS_KEY", b"SecretAccessKey")

_PASSWORD = rb"(?![<$*%{]|x+\s)\S+"  # not a placeholder such as <password>, $TOKEN, ****, %s, {{token}}, xxxx
_NETRC = re.compile(rb"(?m)^\s*(?:machine\s+\S+|default)\s[^#]*?\bpassword\s+" + _PASSWORD)
_PASSWORD_FILES = {
    b".netrc": _NETRC,
    b"_netrc": _NETRC,
    b".authinfo": _NETRC,
    b".pgpass": re.compile(rb"(?m)^[^#:\n]+:[^:\n]*:[^:\n]*:[^:\n]*:" + _PASSWORD),
    b".pypirc": re.compile(rb"(?m)^\s*password\s*[=:]\s*" + _PASSWORD),
    b".npmrc": re.compile(rb"(?m)^[^#;\n]*_(?:authToken|auth|password)\s*=\s*[\"']?" + _PASSWORD),
    b".git-credentials": re.compile(rb"(?m)^https?://[^:/\s]+:[^@/\s]+@"),
}


def is_binary(head: bytes) -> bool:
    """Whether git takes a file that starts with `head` for binary: a NUL in its first 8000 bytes."""
    return head.find(b"\0", 0, BINARY_HEAD) >= 0


def looks_like_private_key(head: bytes, name: bytes) -> str | None:
    """Say in words which secret key a file seems to hold, or None when it seems to hold none.

    `head` is the beginning of the file (a few KiB are enough), `name` its path or its last part. Found are
    private keys in PEM, OpenSSH, PGP, PuTTY and age form, key stores, AWS secret keys, Google service
    accounts, and password files such as .netrc. Public keys, certificates, and code or prose that only speak
    of keys are not. An answer is a reason to ask the user, not a proof.
    """
    if b"PRIVATE KEY" in head and (found := _armoured_key(head)) is not None:
        return found
    if head.lstrip()[:20].startswith(b"PuTTY-User-Key-File-") and _PUTTY_KEY.match(head):
        return "a PuTTY private key"
    if b"AGE-SECRET-KEY-1" in head and _AGE_KEY.search(head):
        return "an age secret key"
    if any(word in head for word in _AWS_NAMES) and _aws_secret(head):
        return "an AWS secret access key"
    base = name.rpartition(b"/")[2].lower()
    if (pattern := _PASSWORD_FILES.get(base)) is not None and pattern.search(head):
        return f"a password in {base.decode()}"
    return _key_store(head, base)


def _armoured_key(head: bytes) -> str | None:
    for match in _ARMOURED_KEY.finditer(head):
        if not _is_random(match[3]):
            continue
        if _SERVICE_ACCOUNT.search(head) and _SERVICE_KEY.search(head):
            return "the private key of a Google service account"
        kind = match[1].strip().decode()
        if kind == "PGP":
            return "a PGP private key"
        if kind == "OPENSSH":
            return "an OpenSSH private key"
        return f"a PEM private key ({kind})" if kind else "a PEM private key"
    return None


def _aws_secret(head: bytes) -> bool:
    return any(_is_random(m[1]) and b"EXAMPLE" not in m[1] for m in _AWS_SECRET.finditer(head))


def _key_store(head: bytes, base: bytes) -> str | None:
    # a certificate is DER as well, so a PKCS#12 store needs its version field and its usual ending
    if base.endswith((b".p12", b".pfx")) and _PKCS12.match(head):
        return "a PKCS#12 key store"
    if base.endswith((b".jks", b".keystore")) and head.startswith(b"\xfe\xed\xfe\xed"):
        return "a Java key store"
    return None


def _is_random(text: bytes) -> bool:
    """Tell key material from a placeholder such as xxxx; 40 random letters hold about 30 different ones."""
    return len(set(text[:64])) >= 12
