from __future__ import annotations

import base64
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.contents.kinds import is_binary, looks_like_private_key

RANDOM = random.Random(7)
BODY = b"\n".join(base64.b64encode(RANDOM.randbytes(48)) for _ in range(12))


def pem(kind: bytes, body: bytes = BODY) -> bytes:
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (kind, body, kind)


def test_nul_decides_binary_within_the_first_8000_bytes() -> None:
    assert is_binary(b"\0")
    assert is_binary(b"a" * 7999 + b"\0")
    assert not is_binary(b"a" * 8000 + b"\0")
    assert not is_binary(b"")
    assert not is_binary(bytes(range(1, 256)))


@pytest.mark.parametrize(
    ("head", "name", "word"),
    [
        (pem(b"RSA PRIVATE KEY"), b"key.pem", "RSA"),
        (pem(b"PRIVATE KEY"), b"x", "PEM"),
        (pem(b"EC PRIVATE KEY"), b"x", "EC"),
        (pem(b"ENCRYPTED PRIVATE KEY"), b"x", "ENCRYPTED"),
        (pem(b"OPENSSH PRIVATE KEY"), b"id_rsa", "OpenSSH"),
        (pem(b"RSA PRIVATE KEY").replace(b"\n", b"\r\n"), b"x", "RSA"),
        (pem(b"RSA PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES,0123AB\n\n" + BODY), b"x", "RSA"),
        (pem(b"PGP PRIVATE KEY BLOCK", b"Version: GnuPG v2\n\n" + BODY), b"x.asc", "PGP"),
        (b"tls:\n  key: |\n    " + pem(b"RSA PRIVATE KEY").replace(b"\n", b"\n    "), b"values.yaml", "RSA"),
        (b'KEY="' + pem(b"PRIVATE KEY").replace(b"\n", b"\\n") + b'"\n', b".env", "PEM"),
        (
            b'{\n "type": "service_account",\n "private_key_id": "1",\n "private_key": "%s"\n}'
            % pem(b"PRIVATE KEY").replace(b"\n", b"\\n"),
            b"sa.json",
            "Google",
        ),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", b"k.ppk", "PuTTY"),
        (b"# created\nAGE-SECRET-KEY-1" + b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2, b"k.txt", None),
        (
            b"[default]\naws_secret_access_key = " + base64.b64encode(RANDOM.randbytes(30)),
            b"credentials",
            "AWS",
        ),
        (b"export AWS_SECRET_ACCESS_KEY='%s'\n" % base64.b64encode(RANDOM.randbytes(30)), b"env.sh", "AWS"),
        (b'{"SecretAccessKey": "%s"}' % base64.b64encode(RANDOM.randbytes(30)), b"keys.json", "AWS"),
        (b"machine example.org login me password s3cr3t\n", b"home/.netrc", "password"),
        (b"machine example.org\n  login me\n  password s3cr3t\n", b"_netrc", "password"),
        (b"db.example.org:5432:*:me:s3cr3t\n", b".pgpass", "password"),
        (b"//npm.example.org/:_authToken=abcdef123456\n", b".npmrc", "password"),
        (b"https://me:s3cr3t@example.org\n", b".git-credentials", "password"),
    ],
)
def test_secret_keys_are_named(head: bytes, name: bytes, word: str | None) -> None:
    reason = looks_like_private_key(head, name)
    if word is None:  # 64 letters where 58 belong
        assert reason is None
    else:
        assert reason is not None
        assert word in reason


def test_age_keys_are_named() -> None:
    body = bytes(RANDOM.choice(b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L") for _ in range(58))
    assert looks_like_private_key(b"# x\nAGE-SECRET-KEY-1" + body + b"\n", b"k") == "an age secret key"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (pem(b"PUBLIC KEY"), b"key.pub"),
        (pem(b"CERTIFICATE"), b"cert.pem"),
        (pem(b"PGP PUBLIC KEY BLOCK"), b"x.asc"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx me@host\n", b"id_ed25519.pub"),
        (b'if text.startswith("-----BEGIN RSA PRIVATE KEY-----"):\n    return True\n', b"check.py"),
        (b"-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n", b"readme.md"),
        (pem(b"PRIVATE KEY", b"x" * 64), b"template.pem"),
        (b"a file with -----BEGIN PRIVATE KEY----- followed by base64 is a private key\n", b"doc.md"),
        (b"s3 = client(aws_secret_access_key=os.environ['AWS_SECRET_ACCESS_KEY'])\n", b"s3.py"),
        (b"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n", b"readme.md"),
        (b'{"type": "service_account", "private_key": "<your key>"}', b"template.json"),
        (b"machine example.org login me password s3cr3t\n", b"notes.txt"),
        (b"machine example.org login me password <password>\n", b".netrc"),
        (b"registry=https://npm.example.org\n//npm.example.org/:_authToken=${NPM_TOKEN}\n", b".npmrc"),
        (b"# The PuTTY-User-Key-File-2: format\n", b"putty.md"),
        (b"", b"id_rsa"),
    ],
)
def test_what_only_speaks_of_keys_passes(head: bytes, name: bytes) -> None:
    assert looks_like_private_key(head, name) is None


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_what_ssh_keygen_writes(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    assert looks_like_private_key(key.read_bytes(), b"key") == "an OpenSSH private key"
    assert looks_like_private_key(Path(f"{key}.pub").read_bytes(), b"key.pub") is None


def test_long_hostile_input_is_judged_quickly() -> None:
    assert looks_like_private_key(b"-----BEGIN PRIVATE KEY-----" + b"\\n" * 50_000, b"x") is None
    assert looks_like_private_key(b"-----BEGIN PRIVATE KEY-----\n" * 4000, b"x") is None
    assert looks_like_private_key(b"machine x login y " * 8000, b".netrc") is None
    assert looks_like_private_key(b"default " * 8000, b".netrc") is None
