"""A host without dsvc: its SFTP server keeps the same files, beside a dsvc that works in the same folder."""

import contextlib
import os
import subprocess
import threading
from pathlib import Path

import pytest

from dsvc.errors import RemoteError, RequestError
from dsvc.remotes.sftp.backend import SftpBackend, SftpTooPlainError
from dsvc.remotes.sftp.connection import SftpMissingError
from dsvc.remotes.ssh.failures import NoFarProgramError
from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wire.errors import RemoteAbsentError, RemoteDeniedError, RemoteFullError
from dsvc.storage.backend import BadKeyError, BlobMissingError
from dsvc.storage.local import LocalBackend
from tests.servers.sshd import Sshd, sshd

__all__ = ["sshd"]
MIB = 1 << 20


@pytest.fixture(params=["openssh", "paramiko"])
def settings(request, sshd: Sshd, tmp_path: Path) -> SshSettings:
    """The command is not there, so SFTP is what is left."""
    path = str(tmp_path / "store")
    return SshSettings(sshd.host, path, client=request.param, command="no-such-dsvc", options=sshd.options)


def opened(settings, *, create=True):
    return contextlib.closing(open_ssh(settings, environment=os.environ, create=create, delays=(0.1, 0.5)))


def test_large_blobs(settings, tmp_path):
    data = os.urandom(9 * MIB + 5)
    source = tmp_path / "source"
    source.write_bytes(data)
    local = LocalBackend(tmp_path / "store")
    with opened(settings) as backend:
        assert isinstance(backend, SftpBackend)
        backend.put("packs/aa", source)
        assert not source.exists()
        assert local.get("packs/aa") == data
        assert backend.get("packs/aa") == data
        assert backend.get("packs/aa", offset=5 * MIB + 1, length=3 * MIB) == data[5 * MIB + 1 :][: 3 * MIB]
        local.put("packs/bb", data[:100])
        assert list(backend.list("packs/")) == [("packs/aa", len(data)), ("packs/bb", 100)]
        assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_both_ways_move_one_cell(settings, tmp_path):
    """A dsvc on the host and others by SFTP: of 40 swaps each takes place, and none twice."""
    with opened(settings) as backend:
        local = LocalBackend(tmp_path / "store")
        assert backend.swap_cell("head", None, b"")

        def work(place, name: bytes) -> None:
            for number in range(20):
                word = name + b"%d " % number
                while True:
                    value = place.read_cell("head")
                    if word in value:
                        break
                    with contextlib.suppress(RemoteError):
                        if place.swap_cell("head", value, value + word):
                            break

        threads = [threading.Thread(target=work, args=args) for args in ((backend, b"a"), (local, b"b"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        words = local.read_cell("head").split()
        assert len(words) == len(set(words)) == 40
        assert backend.read_cell("head") == local.read_cell("head")
        assert len(list((tmp_path / "store" / "cells" / "head").iterdir())) == 16


def test_errors_have_their_kind(settings, tmp_path):
    with pytest.raises(RemoteAbsentError, match="no such folder"):
        opened(settings, create=False)
    with opened(settings) as backend:
        with pytest.raises(BlobMissingError):
            backend.get("packs/aa")
        with pytest.raises(BadKeyError):
            backend.get("cells/head/1")
        backend.put("packs/aa", b"aa")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    from dataclasses import replace

    with pytest.raises(RemoteAbsentError, match="holds other things"):
        opened(replace(settings, path=str(tmp_path / "other")))


def test_a_pack_that_is_a_folder_is_named(settings, tmp_path):
    with opened(settings) as backend:
        (tmp_path / "store/packs/aa").mkdir(parents=True)
        for size in (None, 3):
            with pytest.raises(RequestError, match="keeps large files whole"):
                backend.get("packs/aa", length=size)


def test_a_far_disk_without_room(settings, tmp_path):
    if os.geteuid():
        pytest.skip("only root may mount a small disk")
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", store], check=True)
    try:
        with opened(settings) as backend:
            with pytest.raises(RemoteFullError):
                backend.put("packs/aa", bytes(8 * MIB))
            backend.put("packs/bb", bytes(MIB))
            assert backend.missing(["packs/aa", "packs/bb"]) == ["packs/aa"]
    finally:
        subprocess.run(["umount", store], check=True)


def test_a_disk_without_hard_links(settings, tmp_path):
    if os.geteuid() or not Path("/sbin/mkfs.vfat").exists():
        pytest.skip("needs root and mkfs.vfat")
    store = tmp_path / "store"
    store.mkdir()
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(16 * MIB)
    subprocess.run(["/sbin/mkfs.vfat", image], check=True, stdout=subprocess.DEVNULL)
    mounted = subprocess.run(["mount", "-o", "loop", image, store], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this kernel does not mount vfat: {mounted.stderr.splitlines()[0]}")
    try:
        with opened(settings) as backend:
            backend.put("packs/aa", b"aa")
            with pytest.raises(SftpTooPlainError, match="no hard links") as caught:
                backend.swap_cell("head", None, b"one")
            assert "install dsvc" in caught.value.hint
            assert backend.read_cell("head") is None
    finally:
        subprocess.run(["umount", store], check=True)


def test_a_host_without_sftp_too(sshd, tmp_path):
    script = tmp_path / "my-ssh"
    script.write_text(
        '#!/bin/sh\ncase "$*" in *" -s "*) echo subsystem request failed on channel 0 >&2; exit 1;; esac\n'
        'exec ssh "$@"\n'
    )
    script.chmod(0o755)
    settings = SshSettings(sshd.host, str(tmp_path / "store"), command="no-such-dsvc", options=sshd.options)
    environment = {**os.environ, "DSVC_SSH_COMMAND": str(script)}
    with pytest.raises(NoFarProgramError, match="no-such-dsvc"):
        open_ssh(settings, environment=environment, create=True)


def test_a_host_without_dsvc_says_what_is_wrong_with_the_folder(sshd, tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings = SshSettings(sshd.host, str(tmp_path / "file" / "store"), command="no-such-dsvc", options=sshd.options)
    with pytest.raises(SftpMissingError, match="file/store"):
        open_ssh(settings, environment=os.environ, create=True)


def test_a_connection_that_breaks(sshd, tmp_path):
    pids = tmp_path / "pids"
    script = tmp_path / "my-ssh"
    script.write_text(f'#!/bin/sh\necho $$ >> {pids}\nexec ssh "$@"\n')
    script.chmod(0o755)
    settings = SshSettings(sshd.host, str(tmp_path / "store"), server="sftp", options=sshd.options)
    environment = {**os.environ, "DSVC_SSH_COMMAND": str(script)}
    backend = open_ssh(settings, environment=environment, create=True, delays=(0.1, 0.5))
    with contextlib.closing(backend):
        backend.put("packs/aa", b"aa")
        os.kill(int(pids.read_text().split()[-1]), 9)
        assert backend.get("packs/aa") == b"aa"
        os.kill(int(pids.read_text().split()[-1]), 9)
        backend.put("packs/bb", bytes(MIB))
        assert backend.missing(["packs/bb"]) == []
    assert len(pids.read_text().split()) == 3


def test_a_folder_that_may_not_be_written(sshd, tmp_path):
    if os.geteuid():
        pytest.skip("uses a folder that even root cannot write")
    settings = SshSettings(sshd.host, "/proc/dsvc", server="sftp", options=sshd.options)
    with pytest.raises((RemoteDeniedError, RemoteError)):
        open_ssh(settings, environment=os.environ, create=True)
