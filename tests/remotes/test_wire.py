"""A backend at the far end of a pair of pipes: large blobs, cuts, order, memory, refusals."""

import contextlib
import os
import shlex
import sys
import threading
import time
from pathlib import Path

import pytest

from dsvc.errors import BusyError, IntegrityError, RemoteError
from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wire.client import WireBackend
from dsvc.remotes.wire.errors import RemoteAbsentError, RemoteDeniedError, RemoteFullError
from dsvc.remotes.wire.frames import ForeignPeerError
from dsvc.storage.backend import BadKeyError, BlobMissingError, SwapUncertainError
from dsvc.storage.local import LocalBackend

MIB = 1 << 20
RELAY = Path(__file__).parent.parent / "servers" / "relay.py"
SERVE = f"{shlex.quote(sys.executable)} -m dsvc hub serve"


class Far:
    """A far end on this machine, reached by a program that cuts the connection when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.backends: list[WireBackend] = []

    def open(self, *, before: str = "", options: str = "", create: bool = True, path: str | None = None) -> WireBackend:
        relay = shlex.join([sys.executable, str(RELAY), str(self.folder)])
        command = f"{before} echo $$ > {self.folder}/pid; exec {SERVE} {options}"
        settings = SshSettings("nowhere", path or str(self.store), command=command)
        environment = {**os.environ, "DSVC_SSH_COMMAND": relay}
        delays = (0.01, 0.1, 0.1)
        self.backends.append(open_ssh(settings, environment=environment, create=create, delays=delays))
        return self.backends[-1]

    def cut(self, direction: str, count: int) -> None:
        (self.folder / "cut").write_text(f"{direction} {count}")

    @property
    def sent(self) -> int:
        return sum(map(int, (self.folder / "up").read_text().split()))

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    @property
    def local(self) -> LocalBackend:
        return LocalBackend(self.store)


@pytest.fixture
def far(tmp_path):
    far = Far(tmp_path)
    yield far
    for backend in far.backends:
        backend.close()


def filled(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def test_large_blobs_go_up_and_come_down(far, tmp_path):
    backend = far.open()
    for size in (0, 1, 65_536, 65_537, 262_145, 5 * MIB + 3):
        data = os.urandom(size)
        backend.put(f"packs/b{size}", data)
        source = tmp_path / "source"
        source.write_bytes(data)
        backend.put(f"packs/f{size}", source)
        assert not source.exists()
        assert far.local.get(f"packs/b{size}") == far.local.get(f"packs/f{size}") == data
        assert backend.get(f"packs/f{size}") == data
        assert backend.get(f"packs/b{size}", offset=size // 2) == data[size // 2 :]
        assert backend.get(f"packs/b{size}", offset=size // 3, length=size // 2) == data[size // 3 :][: size // 2]
    assert list((far.store / "tmp").iterdir()) == []


def test_a_blob_that_is_there_is_not_sent(far, tmp_path):
    backend = far.open()
    backend.put("packs/aa", filled(tmp_path / "one", 8 * MIB))
    before = far.sent
    backend.put("packs/aa", filled(tmp_path / "two", 8 * MIB))
    assert far.sent - before < 1000
    assert not (tmp_path / "two").exists()


def test_a_put_that_is_cut_goes_on_where_it_was(far, tmp_path):
    source = filled(tmp_path / "source", 24 * MIB)
    data = source.read_bytes()
    far.cut("up", 16 * MIB)
    far.open().put("packs/aa", source)
    assert far.local.get("packs/aa") == data
    assert far.sent < 24 * MIB + 4 * MIB + 100_000  # what was on the way when it was cut, at most
    assert list((far.store / "tmp").iterdir()) == []


def test_a_put_that_was_given_up_goes_on_in_another_process(far, tmp_path):
    source = filled(tmp_path / "source", 24 * MIB)
    data = source.read_bytes()
    far.cut("up", 16 * MIB)
    backend = far.open()
    backend._connections.delays = ()
    with pytest.raises(RemoteError):
        backend.put("packs/aa", source)
    assert source.exists()
    assert far.local.missing(["packs/aa"]) == ["packs/aa"]
    far.open().put("packs/aa", source)
    assert far.local.get("packs/aa") == data
    assert far.sent < 24 * MIB + 4 * MIB + 100_000


def test_what_is_left_of_another_blob_is_not_gone_on_with(far, tmp_path):
    far.cut("up", 4 * MIB)
    backend = far.open()
    backend._connections.delays = ()
    with pytest.raises(RemoteError):
        backend.put("packs/aa", filled(tmp_path / "one", 8 * MIB))
    other = filled(tmp_path / "other", 6 * MIB)
    data = other.read_bytes()
    far.open().put("packs/aa", other)
    assert far.local.get("packs/aa") == data


def test_two_puts_of_the_same_blob_at_once(far, tmp_path):
    data = os.urandom(20 * MIB)
    backends = [far.open() for _ in range(3)]
    threads = [threading.Thread(target=backend.put, args=("packs/aa", data)) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert far.local.get("packs/aa") == data
    assert list((far.store / "tmp").iterdir()) == []


def test_reading_goes_on_after_a_cut(far):
    backend = far.open()
    data = os.urandom(8 * MIB)
    backend.put("packs/aa", data)
    (far.store / "lists").mkdir()
    for number in range(3000):
        (far.store / "lists" / f"{number:05}").touch()
    backend.close()
    far.cut("down", 3 * MIB)
    assert far.open().get("packs/aa") == data
    backend = far.open()
    far.cut("down", 20_000)
    assert len(list(backend.list("lists/"))) == 3000
    assert not (far.folder / "cut").exists()
    far.cut("down", 0)
    assert backend.missing(["packs/aa", "packs/bb"]) == ["packs/bb"]
    far.cut("down", 0)
    backend.delete("packs/aa")
    far.cut("down", 0)
    assert backend.read_cell("head") is None
    far.cut("down", 0)
    backend.put("packs/bb", b"bb")
    assert backend.get("packs/bb") == b"bb"


def test_a_swap_whose_answer_is_lost_is_uncertain(far):
    backend = far.open()
    far.cut("down", 0)
    with pytest.raises(SwapUncertainError, match="broke before it was known") as caught:
        backend.swap_cell("head", None, b"one")
    assert isinstance(caught.value, BusyError)
    assert backend.read_cell("head") == b"one"  # over a new connection


def test_a_swap_goes_over_a_new_connection(far):
    backend = far.open()
    os.kill(far.pid, 9)
    while Path(f"/proc/{far.pid}").exists():
        time.sleep(0.01)
    with contextlib.suppress(SwapUncertainError):  # it was noticed before, or not
        assert backend.swap_cell("head", None, b"one")
    assert backend.read_cell("head") in (b"one", None)


def test_small_requests_do_not_wait_for_large_ones(far, tmp_path):
    backend = far.open()
    large = tmp_path / "store" / "packs" / "large"
    large.parent.mkdir()
    with open(large, "wb") as file:
        file.truncate(600 * MIB)
    ended = []

    def read() -> None:
        backend.get("packs/large", length=600 * MIB)
        ended.append("large")

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(20):
        assert backend.read_cell("head") is None
    ended.append("small")
    thread.join()
    assert ended == ["small", "large"]


@pytest.mark.slow
def test_the_far_end_keeps_its_memory(far, tmp_path):
    backend = far.open()
    status = Path(f"/proc/{far.pid}/status")

    def peak() -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) >> 10

    before = peak()
    data = bytes(64 * MIB)
    threads = [threading.Thread(target=backend.put, args=(f"packs/{n}", data)) for n in range(8)]
    threads += [threading.Thread(target=lambda: backend.get("packs/large")) for n in range(4)]
    with open(far.store / "large", "wb") as file:
        file.truncate(64 * MIB)
    (far.store / "packs").mkdir()
    (far.store / "large").rename(far.store / "packs" / "large")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peak() - before < 8 * 4 + 40  # MiB: a window for each upload, and what it takes anyway


def test_the_far_end_ends_with_the_connection(far):
    backend = far.open()
    pid = far.pid
    backend.read_cell("head")
    backend.close()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
    pytest.fail("the far end still runs")


def test_a_closed_backend_says_so(far):
    backend = far.open()
    backend.close()
    with pytest.raises(RemoteError, match="was closed"):
        backend.read_cell("head")


def test_read_only(far, tmp_path):
    far.open().put("packs/aa", b"aa")
    backend = far.open(options="--read-only")
    assert backend.read_only
    assert backend.get("packs/aa") == b"aa"
    for change in (
        lambda: backend.put("packs/bb", b"x"),
        lambda: backend.put("packs/bb", bytes(MIB)),
        lambda: backend.delete("packs/aa"),
        lambda: backend.swap_cell("head", None, b"x"),
    ):
        with pytest.raises(RemoteDeniedError, match="for reading only"):
            change()
    assert far.local.missing(["packs/aa", "packs/bb"]) == ["packs/bb"]


def test_a_folder_that_is_not_there(far):
    with pytest.raises(RemoteAbsentError, match="there is no folder"):
        far.open(create=False)
    assert not far.store.exists()
    far.open(create=True)
    assert far.store.is_dir()
    far.open(create=False)


def test_a_folder_with_other_things(far):
    far.store.mkdir()
    (far.store / "thesis.tex").write_text("x")
    with pytest.raises(RemoteAbsentError, match="holds other things"):
        far.open()


def test_the_repository_of_a_working_copy(far, tmp_path):
    (far.store / ".dsvc" / "store").mkdir(parents=True)
    far.open().put("packs/aa", b"aa")
    assert (far.store / ".dsvc" / "store" / "packs" / "aa").read_bytes() == b"aa"


@pytest.mark.parametrize("path", ["../outside", "/etc", "link"])
def test_nothing_outside_the_served_folder(far, path):
    inside = far.folder / "inside"
    inside.mkdir()
    (far.folder / "outside").mkdir()
    (inside / "link").symlink_to(far.folder / "outside")
    with pytest.raises(RemoteDeniedError, match="outside"):
        far.open(options=f"--below {inside}", path=path)
    far.open(options=f"--below {inside}", path="team/project").put("packs/aa", b"aa")
    assert (inside / "team" / "project" / "packs" / "aa").exists()


def test_cells_are_no_blobs(far):
    backend = far.open()
    backend.swap_cell("head", None, b"one")
    for call in (
        lambda: backend.get("cells/head/1"),
        lambda: backend.put("cells/head/2", b"x"),
        lambda: backend.delete("cells/head/1"),
        lambda: backend.missing(["tmp/x"]),
        lambda: list(backend.list("../")),
        lambda: list(backend.list("cells/")),
        lambda: list(backend.list("tmp/x")),
    ):
        with pytest.raises(BadKeyError):
            call()
    assert backend.read_cell("head") == b"one"


def test_errors_keep_their_kind(far):
    backend = far.open()
    with pytest.raises(BlobMissingError, match="packs/aa is missing from ssh://nowhere") as caught:
        backend.get("packs/aa")
    assert caught.value.key == "packs/aa"
    backend.swap_cell("head", None, b"one")
    (far.store / "cells" / "head" / "1").write_bytes(b"rubbish" * 20)
    with pytest.raises(IntegrityError, match="checksum"):
        backend.read_cell("head")


def test_a_far_disk_without_room(far, tmp_path):
    if os.geteuid():
        pytest.skip("only root may mount a small disk")
    import subprocess

    far.store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", far.store], check=True)
    try:
        backend = far.open()
        with pytest.raises(RemoteFullError, match="no room for"):
            backend.put("packs/aa", bytes(8 * MIB))
        source = filled(tmp_path / "source", 50_000)

        def fill() -> None:
            for number in range(200):
                backend.put(f"packs/{number}", source.read_bytes())

        with pytest.raises(RemoteFullError, match="disk is full"):
            fill()
        assert backend.get("packs/0") == source.read_bytes()
        backend.delete("packs/0")
        backend.delete("packs/1")
        backend.put("packs/zz", source)
    finally:
        for one in far.backends:
            one.close()
        subprocess.run(["umount", far.store], check=True)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("echo Welcome to far; echo Have a nice day;", "Welcome to far"),
        ("printf 'no line end'; exit 0;", "no line end"),
        ("head -c 100000 /dev/zero | tr '\\0' x;", "xxxxxxxx"),
        ("exec cat;", "dsvc wire <"),
    ],
)
def test_what_is_no_dsvc_is_quoted(far, before, said):
    with pytest.raises(ForeignPeerError, match="does not answer as 'dsvc hub serve' would") as caught:
        far.open(before=before)
    assert said in caught.value.message
    assert len(caught.value.message) < 700


def test_a_far_end_that_dies_at_once_says_why(far):
    with pytest.raises(RemoteError, match=r"exit code 3.*'it went wrong'"):
        far.open(before="echo it went wrong >&2; exit 3;")
