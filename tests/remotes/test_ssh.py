"""A real sshd, by the `ssh` program and by paramiko: transfers, and each way in which a connection fails."""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dsvc.errors import RemoteError, RequestError
from dsvc.remotes.ssh.failures import (
    NoFarProgramError,
    SshHostKeyError,
    SshProgramError,
    SshRefusedError,
    SshUnknownHostError,
    SshUnreachableError,
)
from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wire.frames import ForeignPeerError
from dsvc.storage.local import LocalBackend
from tests.servers.sshd import DSVC, Sshd, sshd

__all__ = ["sshd"]
MIB = 1 << 20


@pytest.fixture
def by_program(sshd: Sshd, tmp_path: Path) -> SshSettings:
    return SshSettings(
        sshd.host, str(tmp_path / "store"), client="openssh", command=DSVC, options=sshd.options, connect_timeout=10
    )


@pytest.fixture
def by_paramiko(by_program: SshSettings) -> SshSettings:
    return replace(by_program, client="paramiko")


@pytest.fixture(params=["by_program", "by_paramiko"])
def settings(request) -> SshSettings:
    return request.getfixturevalue(request.param)


def opened(settings, **environment):
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return contextlib.closing(open_ssh(settings, environment={**known, **environment}, create=True, delays=()))


def with_config(settings: SshSettings, folder: Path, old: str, new: str) -> SshSettings:
    """The settings with a changed configuration file."""
    config = Path(settings.options[1]).read_text()
    assert old in config
    changed = folder / "changed_config"
    changed.write_text(config.replace(old, new))
    return replace(settings, options=("-F", str(changed)))


def test_large_blobs(settings, tmp_path):
    data = os.urandom(20 * MIB)
    source = tmp_path / "source"
    source.write_bytes(data)
    with opened(settings) as backend:
        backend.put("packs/aa", source)
        assert backend.get("packs/aa") == data
        with ThreadPoolExecutor(4) as pool:
            parts = pool.map(lambda at: backend.get("packs/aa", offset=at, length=4 * MIB), range(0, 20 * MIB, 4 * MIB))
            assert b"".join(parts) == data
    assert LocalBackend(tmp_path / "store").get("packs/aa") == data


@pytest.mark.slow
def test_more_than_paramiko_sends_with_one_key(by_paramiko, tmp_path):
    """paramiko would exchange keys anew after 512 MiB in each direction, and may stall in that."""
    size = 640 * MIB
    source = tmp_path / "source"
    with open(source, "wb") as file:
        file.truncate(size)
    with opened(by_paramiko) as backend:
        backend.put("packs/aa", source)
        with ThreadPoolExecutor(4) as pool:
            parts = pool.map(
                lambda at: len(backend.get("packs/aa", offset=at, length=8 * MIB)), range(0, size, 8 * MIB)
            )
            assert sum(parts) == size
    assert (tmp_path / "store" / "packs" / "aa").stat().st_size == size


def test_many_threads(settings):
    with opened(settings) as backend:
        def work(number: int) -> None:
            for step in range(10):
                key = f"packs/{number}-{step}"
                backend.put(key, key.encode() * 100)
                assert backend.get(key) == key.encode() * 100
                assert backend.missing([key, "packs/none"]) == ["packs/none"]

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))
        assert len(list(backend.list("packs/"))) == 160


def test_a_far_end_that_is_killed(settings, sshd, tmp_path):
    pid = tmp_path / "pid"
    told = replace(settings, command=f"echo $$ >> {pid}; exec {DSVC}")
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    data = os.urandom(48 * MIB)
    with contextlib.closing(open_ssh(told, environment=known, create=True, delays=(0.1, 0.5))) as backend:
        thread = threading.Thread(target=backend.put, args=("packs/aa", data))
        thread.start()
        while not any(path.stat().st_size > 4 * MIB for path in (tmp_path / "store" / "tmp").glob("put-*")):
            pass
        os.kill(int(pid.read_text()), 9)
        thread.join()
        assert backend.get("packs/aa") == data
    assert len(pid.read_text().split()) == 2
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_a_host_key_that_was_changed(settings, sshd, tmp_path):
    other = (sshd.folder / "other_key.pub").read_text().rsplit(" ", 1)[0]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {other}\n")
    changed = with_config(settings, tmp_path, str(sshd.known_hosts), str(tmp_path / "known_hosts"))
    with pytest.raises(SshHostKeyError, match="is not the one that is known") as caught:
        opened(changed)
    command = caught.value.hint.partition("only then: ")[2]
    if "-f" not in command:  # paramiko does not say in which file
        command += f" -f {tmp_path}/known_hosts"
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "known_hosts").read_text() == "", "what the hint says takes the old key away"
    assert caught.value.exit_code == 14


def test_a_host_key_that_is_not_known(settings, sshd, tmp_path):
    changed = with_config(settings, tmp_path, str(sshd.known_hosts), str(tmp_path / "none"))
    with pytest.raises(SshHostKeyError, match="is not known on this machine") as caught:
        opened(changed)
    assert "connect once by hand" in caught.value.hint
    assert not (tmp_path / "store").exists()


def test_a_user_key_that_is_not_let_in(settings, sshd, tmp_path):
    changed = with_config(settings, tmp_path, str(sshd.key), str(sshd.folder / "other_key"))
    with pytest.raises(SshRefusedError, match="does not let you in") as caught:
        opened(changed)
    assert "ssh-copy-id" in caught.value.hint


def test_a_host_that_is_not_known(settings):
    with pytest.raises(SshUnknownHostError, match=r"the host no-such-host.invalid is not known"):
        opened(replace(settings, host="no-such-host.invalid"))


def test_a_port_where_nobody_listens(settings):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SshUnreachableError, match=r"cannot be reached by SSH: '.*([Rr]efused|[Cc]onnect)"):
        opened(replace(settings, port=port))


def test_a_far_end_without_dsvc(settings):
    with pytest.raises(NoFarProgramError, match="'no-such-dsvc hub serve' cannot be run") as caught:
        opened(replace(settings, command="no-such-dsvc hub serve", server="dsvc"))
    assert "not found" in caught.value.message
    assert "remote.NAME.command" in caught.value.hint


def test_a_far_python_without_dsvc(settings):
    python = shutil.which("python3", path="/usr/bin")
    with pytest.raises(NoFarProgramError, match="No module named dsvc"):
        opened(replace(settings, command=f"{python} -I -m dsvc hub serve", server="dsvc"))


def test_a_far_end_that_greets(settings):
    with pytest.raises(ForeignPeerError, match="it begins with 'Welcome to far'") as caught:
        opened(replace(settings, command=f"echo Welcome to far; {DSVC}"))
    assert "login script" in caught.value.hint


def test_a_far_end_that_says_nothing(settings):
    with pytest.raises(SshUnreachableError, match="no answer within 4 seconds"):
        opened(replace(settings, command="sleep 100;", connect_timeout=2))


def test_a_path_that_a_shell_would_read(settings, tmp_path):
    path = tmp_path / "a b; touch $(echo owned) 'x' \"y\""
    with opened(replace(settings, path=str(path))) as backend:
        backend.put("packs/aa", b"aa")
    assert (path / "packs" / "aa").read_bytes() == b"aa"
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("host", ["-oProxyCommand=touch owned", "a b", "", "x;y", "$(x)"])
def test_a_host_that_is_none(host):
    with pytest.raises(RequestError, match="is no host for SSH"):
        SshSettings(host, "/x")


@pytest.mark.parametrize("name", ["client", "server"])
def test_a_choice_that_is_none(name):
    with pytest.raises(RequestError, match=f"'putty' is no {name} for SSH"):
        SshSettings("far", "/x", **{name: "putty"})


def test_a_path_below_the_home_folder(settings, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with opened(replace(settings, path="~/store", command=f"HOME={home} {DSVC}")) as backend:
        backend.put("packs/aa", b"aa")
    assert (home / "store" / "packs" / "aa").exists()


JUMP = "Host jump\n  HostName 127.0.0.1\nHost far\n  ProxyJump jump\nHost far jump\n"


def test_a_jump_host(settings, sshd, tmp_path):
    changed = with_config(settings, tmp_path, "Host far\n", JUMP)
    with opened(changed) as backend:
        backend.put("packs/aa", b"aa")
        assert backend.get("packs/aa") == b"aa"


def test_the_command_of_the_environment(by_program, sshd, tmp_path):
    script = tmp_path / "my-ssh"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\nexec ssh "$@"\n')
    script.chmod(0o755)
    with opened(by_program, DSVC_SSH_COMMAND=f"{script} -4") as backend:
        assert backend.read_cell("head") is None
    words = (tmp_path / "words").read_text()
    assert words.startswith("-4 ")
    assert "BatchMode=yes" in words
    with pytest.raises(SshProgramError, match="cannot be started"):
        opened(by_program, DSVC_SSH_COMMAND="no-such-program")


def test_a_machine_without_the_program_takes_paramiko(settings, sshd):
    with opened(replace(settings, client="auto"), PATH="/nowhere") as backend:
        assert backend.read_cell("head") is None


def test_an_option_that_paramiko_does_not_know(by_paramiko):
    with pytest.raises(RequestError, match="'-K' is for OpenSSH"):
        opened(replace(by_paramiko, options=("-K",)))


def test_a_lost_connection_is_told(settings, sshd, tmp_path):
    pid = tmp_path / "pid"
    told = replace(settings, command=f"echo $$ > {pid}; exec {DSVC}")
    with opened(told) as backend:
        os.kill(int(pid.read_text()), 9)

        def ask() -> None:
            for _ in range(100):
                backend.read_cell("head")

        with pytest.raises(RemoteError, match=r"closed the connection|ended"):
            ask()
