"""Signatures by the real ssh-keygen, and what each kind of doubt is called."""

from __future__ import annotations

import os
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dsvc.signing import Keygen, SigningFailedError, SigningProgramError, read_signature, sign_payload, verify_signature
from dsvc.signing.keygen import readable
from tests.signing.keys import agent, fingerprint, make_key, needs_ssh_agent, needs_ssh_keygen, public

pytestmark = needs_ssh_keygen
KEYGEN = Keygen()
WORDS = b"what was signed"


def moment(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc]


AT = moment(2026, 1, 31)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys") / "ada")


@pytest.fixture(scope="module")
def signature(key: Path) -> bytes:
    return sign_payload(WORDS, str(key), keygen=KEYGEN)


def line(key: Path, who: str = "ada@example.com", options: str = "") -> bytes:
    return f"{who} {options} {public(key)}\n".encode()


def test_a_signature_says_who_made_it_and_for_what(key: Path, signature: bytes) -> None:
    said = read_signature(signature)
    assert said is not None
    assert (said.namespace, said.key_type, said.fingerprint) == ("dsvc", "ED25519", fingerprint(key))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_keys(tmp_path: Path, kind: str) -> None:
    other = make_key(tmp_path / kind, "-t", kind)
    made = sign_payload(WORDS, str(other), keygen=KEYGEN)
    verdict = verify_signature(WORDS, made, line(other), AT)
    assert (verdict.status, verdict.key_type, verdict.fingerprint) == ("good", kind.upper(), fingerprint(other))
    said = read_signature(made)
    assert said is not None
    assert (said.key_type, said.fingerprint) == (kind.upper(), fingerprint(other))


def test_good(key: Path, signature: bytes) -> None:
    verdict = verify_signature(WORDS, signature, line(key), AT)
    assert verdict.good
    assert str(verdict) == f"Good signature by ada@example.com with ED25519 key {fingerprint(key)}"


@pytest.mark.parametrize(
    ("options", "status", "letter"),
    [
        ('valid-before="20260101Z"', "expired", "Y"),
        ('valid-after="20270101Z"', "early", "Y"),
        ('valid-after="20260101Z",valid-before="20270101Z"', "good", "G"),
        ('namespaces="git"', "unknown", "U"),
        ('namespaces="git,dsvc"', "good", "G"),
    ],
)
def test_what_a_line_allows(key: Path, signature: bytes, options: str, status: str, letter: str) -> None:
    verdict = verify_signature(WORDS, signature, line(key, options=options), AT)
    assert (verdict.status, verdict.letter, verdict.fingerprint) == (status, letter, fingerprint(key))
    assert status == "good" or "line 1 of the allowed signers" in verdict.reason


@pytest.mark.parametrize("options", ['namespaces="git"', 'valid-before="20200101Z"'])
def test_a_later_line_may_allow_what_an_earlier_one_does_not(key: Path, signature: bytes, options: str) -> None:
    allowed = b"# two lines for one key\n" + line(key, options=options) + line(key, "ada@new.example.com")
    assert verify_signature(WORDS, signature, allowed, AT).principal == "ada@new.example.com"


def test_the_time_of_signing_counts(key: Path, signature: bytes) -> None:
    allowed = line(key, options='valid-after="20200101Z",valid-before="20260201Z"')
    assert verify_signature(WORDS, signature, allowed, moment(2026, 1, 30)).status == "good"
    assert verify_signature(WORDS, signature, allowed, moment(2026, 2, 3)).status == "expired"
    for odd in (-(10**18), 0, 10**22):
        assert verify_signature(WORDS, signature, allowed, odd).status in {"early", "expired"}


def test_nobody_knows_the_key(tmp_path: Path, key: Path, signature: bytes) -> None:
    other = make_key(tmp_path / "bob")
    for allowed in (None, b"", b"nonsense\n", line(other)):
        verdict = verify_signature(WORDS, signature, allowed, AT)
        assert (verdict.status, verdict.principal, verdict.fingerprint) == ("unknown", None, fingerprint(key))
        assert verdict.reason


def test_other_content_is_bad_whoever_signed(key: Path, signature: bytes) -> None:
    for allowed in (None, line(key)):
        verdict = verify_signature(WORDS + b"!", signature, allowed, AT)
        assert (verdict.status, verdict.principal, verdict.reason) == ("bad", None, "it does not fit the content")


def test_damaged_signatures(key: Path, signature: bytes) -> None:
    for at in range(0, len(signature), 7):
        damaged = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        verdict = verify_signature(WORDS, damaged, line(key), AT)
        assert not verdict.good or damaged.split() == signature.split(), at
    for cut in range(0, len(signature) - 1, 11):
        assert not verify_signature(WORDS, signature[:cut], line(key), AT).good


def test_made_for_something_else(key: Path) -> None:
    for namespace in ("git", "file"):
        made = sign_payload(WORDS, str(key), namespace=namespace, keygen=KEYGEN)
        verdict = verify_signature(WORDS, made, line(key), AT)
        assert (verdict.status, verdict.reason) == ("bad", f'it was made for "{namespace}", not for "dsvc"')
        assert verify_signature(WORDS, made, line(key), AT, namespace=namespace).good


def test_a_stranger_cannot_write_to_the_terminal(key: Path) -> None:
    made = sign_payload(WORDS, str(key), namespace="\x1b[2Jdsvc", keygen=KEYGEN)
    verdict = verify_signature(WORDS, made, line(key), AT)
    assert verdict.status == "bad"
    assert "\x1b" not in verdict.reason


def test_other_forms_are_not_checked(key: Path) -> None:
    for marker, word in (("PGP SIGNATURE", "a PGP signature"), ("SIGNED MESSAGE", "X.509"), ("X", "unknown form")):
        verdict = verify_signature(WORDS, f"-----BEGIN {marker}-----\n".encode(), line(key), AT)
        assert (verdict.status, verdict.letter) == ("unchecked", "E")
        assert word in verdict.reason
    assert verify_signature(WORDS, None, line(key), AT).letter == "N"


def test_revoked_keys(tmp_path: Path, key: Path, signature: bytes) -> None:
    other = make_key(tmp_path / "bob")
    krl = tmp_path / "krl"
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", str(krl), f"{key}.pub"], check=True)
    for revoked in (public(key).encode() + b"\n", krl.read_bytes()):
        verdict = verify_signature(WORDS, signature, line(key), AT, revoked=revoked)
        assert (verdict.status, verdict.letter, verdict.fingerprint) == ("revoked", "R", fingerprint(key))
    assert verify_signature(WORDS, signature, line(key), AT, revoked=public(other).encode() + b"\n").good
    odd = verify_signature(WORDS, signature, line(key), AT, revoked=b"nonsense\n")
    assert (odd.status, odd.reason) == ("unchecked", "the file of revoked keys is not of its form")


def test_a_certificate_of_an_authority(tmp_path: Path) -> None:
    authority, user = make_key(tmp_path / "ca"), make_key(tmp_path / "user")
    words = ["ssh-keygen", "-q", "-s", str(authority), "-I", "x", "-n", "eve@example.com", "-V", "20250101:20270101"]
    subprocess.run([*words, f"{user}.pub"], check=True)
    made = sign_payload(WORDS, f"{user}-cert.pub", keygen=KEYGEN)
    allowed = line(authority, "*@example.com", "cert-authority")
    assert verify_signature(WORDS, made, allowed, AT).principal == "eve@example.com"
    assert verify_signature(WORDS, made, allowed, moment(2028, 1, 1)).status != "good"
    assert verify_signature(WORDS, made, line(authority, "*@else.org", "cert-authority"), AT).status == "unknown"


@needs_ssh_agent
def test_the_agent_signs(tmp_path: Path) -> None:
    other = make_key(tmp_path / "bob")
    text = public(other)
    with agent(tmp_path, other) as socket:
        other.unlink()
        keygen = Keygen(environment={"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": socket})
        for wanted in (f"key::{text}", text, f"{other}.pub"):
            made = sign_payload(WORDS, wanted, keygen=keygen)
            assert verify_signature(WORDS, made, line(other), AT).good
        stranger = public(make_key(tmp_path / "eve"))
        with pytest.raises(SigningFailedError, match="nothing was signed with ssh-ed25519 key: "):
            sign_payload(WORDS, f"key::{stranger}", keygen=keygen)
    with pytest.raises(SigningFailedError, match="agent"):
        sign_payload(WORDS, f"key::{text}", keygen=Keygen(environment={"PATH": os.environ["PATH"]}))


def test_no_key_and_no_program(tmp_path: Path, key: Path, signature: bytes) -> None:
    with pytest.raises(SigningFailedError, match="No such file"):
        sign_payload(WORDS, str(tmp_path / "nowhere"), keygen=KEYGEN)
    missing = Keygen(str(tmp_path / "ssh-keygen"))
    with pytest.raises(SigningProgramError, match="was not found"):
        sign_payload(WORDS, str(key), keygen=missing)
    with pytest.raises(SigningProgramError, match="was not found"):
        verify_signature(WORDS, signature, line(key), AT, keygen=missing)
    (tmp_path / "ssh-keygen").write_text("not a program")
    with pytest.raises(SigningProgramError, match="cannot be run: Permission denied"):
        sign_payload(WORDS, str(key), keygen=missing)


def test_nothing_stays_on_disk(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(key.parent.iterdir())
    for _ in range(2):  # with files in memory, and on a system that has none
        made = sign_payload(WORDS, str(key), keygen=KEYGEN)
        assert verify_signature(WORDS, made, line(key), AT, revoked=b"").good
        assert verify_signature(WORDS, made, line(key, options='namespaces="x"'), AT).reason.startswith("line 1 of")
        assert (list(tmp_path.iterdir()), set(key.parent.iterdir())) == ([], before)
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with readable(b"one") as (paths, _):
        assert Path(paths[0]).parent.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
