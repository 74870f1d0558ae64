"""Strange files in the working copy: they are versioned byte for byte, or skipped with a word."""

import os
import socket
import subprocess
import sys

import pytest

STRANGE = [
    b"latin-\xe9",
    b"\xff\xfe",
    b"new\nline",
    b'tab\tand "quote"',
    b"back\\slash",
    b"\x01\x1b[31m",
    b" space ",
    "gr\u00fc\u00df".encode(),
    b"n" * 255,
    b"a:b*c?d",
    b"#hash",
    b"!not",
    b"*",
    b"-dash",
]


@pytest.fixture
def project(cli):
    cli.ok("init", "-q")
    (cli.directory / "f").write_text("f\n")
    cli.ok("commit", "-qm", "first")
    return cli


@pytest.fixture
def deep(project):
    """The project; what is in it goes afterwards by a tool that has no trouble with depth."""
    yield project
    subprocess.run(["rm", "-rf", project.directory], check=True)


def write(project, name, content):
    with open(os.path.join(os.fsencode(project.directory), name), "wb") as file:
        file.write(content)


def names(project):
    return set(os.listdir(os.fsencode(project.directory)))


def test_strange_names_through_every_verb(project):
    for number, name in enumerate(STRANGE):
        write(project, name, b"%d\n" % number)
    status = project.ok("status", "--json").json
    shown = [os.fsencode(row["path"]) if "path_b64" not in row else row["path_b64"] for row in status["new"]]
    assert len(shown) == len(STRANGE)
    lines = project.ok("status", "--porcelain", "-z").raw.split(b"\0")
    assert {line[3:] for line in lines if line} == set(STRANGE)
    assert b"\x1b[31m" not in project.ok("status").raw
    project.ok("commit", "-qm", "strange")
    project.ok("switch", "-q", "-c", "changed")
    for name in STRANGE:
        write(project, name, b"changed %d\n" % len(name))
    project.ok("commit", "-qm", "changed")
    for line in ("ls", "log --name-status", "log --stat", "show --stat", "diff main", "grep chan"):
        words = line.split()
        answer = project.ok(*words)
        assert b"\x1b[31m" not in answer.raw
        assert "new\nline" not in answer.out
        assert "new\\nline" in answer.out
    for words in (("ls", "--json"), ("log", "--json", "--name-status"), ("diff", "--json", "main")):
        assert b"path_b64" in project.ok(*words).raw
    for name in STRANGE:
        text = os.fsdecode(name)
        assert project.ok("cat", f"main:{text}").raw == b"%d\n" % STRANGE.index(name)
        project.ok("restore", "--source", "main", "--", text)
        with open(os.path.join(os.fsencode(project.directory), name), "rb") as file:
            assert file.read() == b"%d\n" % STRANGE.index(name)
    project.ok("stash", "-q")
    project.ok("stash", "pop")
    project.ok("reset", "-q", "--hard")
    project.ok("switch", "-q", "main")
    assert names(project) >= set(STRANGE)
    project.ok("mv", "--", os.fsdecode(STRANGE[0]), os.fsdecode(b"moved-\xe9"))
    project.ok("rm", "-f", "--", *[os.fsdecode(name) for name in STRANGE[1:]])
    assert names(project) & set(STRANGE) == set()
    project.ok("undo")
    assert names(project) >= set(STRANGE[1:])
    project.ok("fsck")


def test_sockets_fifos_and_devices_are_named_and_skipped(project):
    folder = project.directory / "d"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        before = os.getcwd()
        os.chdir(folder)
        server.bind("socket")
        os.chdir(before)
        if os.geteuid() == 0:
            os.mknod(folder / "device", 0o020600, os.makedev(1, 3))
        (folder / "file").write_text("file\n")
        for words in (("status",), ("commit", "-m", "d")):
            answer = project.ok(*words)
            assert "d/fifo" in answer.err
            assert "d/socket" in answer.err
        assert project.ok("ls", "HEAD", "d").out.split()[-1].endswith("file")
        project.ok("switch", "-q", "-c", "other", "HEAD~1")
        assert (folder / "fifo").exists()
        project.ok("clean", "-fd")
        assert (folder / "fifo").exists()


def test_a_file_that_is_replaced_by_something_else_between_scan_and_read(project, monkeypatch):
    from dsvc.worktree import record

    root = project.directory
    for what in ("fifo", "folder", "link", "gone"):
        (root / what).write_text(what * 10)
    real = record.store_file

    def replace_first(store, path, sig, look=None, **more):
        name = os.path.basename(path)
        if name in (b"fifo", b"folder", b"link", b"gone"):
            os.unlink(path)
            if name == b"fifo":
                os.mkfifo(path)
            elif name == b"folder":
                os.mkdir(path)
            elif name == b"link":
                os.symlink("f", path)
        return real(store, path, sig, look, **more)

    monkeypatch.setattr(record, "store_file", replace_first)
    answer = project("commit", "-m", "x")
    assert answer.code in (0, 3), answer.err
    assert "bug in dsvc" not in answer.err
    monkeypatch.undo()
    project.ok("status")
    project("commit", "-m", "y")
    assert project.ok("status", "-s").out == ""
    assert project.ok("cat", "HEAD:link").raw == b"f"
    project.ok("fsck")


def test_a_file_that_changes_while_it_is_read(project):
    path = project.directory / "busy"
    code = "import sys\nwhile True:\n  with open(sys.argv[1], 'r+b') as f:\n    f.write(b'x' * 3000000 + b'y')"
    path.write_bytes(b"")
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        for _ in range(3):
            answer = project("commit", "-qm", "busy")
            assert answer.code in (0, 3), answer.err
            if answer.code == 3 and "nothing to commit" not in answer.err:
                assert "busy changes while it is read" in answer.err
    finally:
        writer.kill()
        writer.wait()
    project("commit", "-qm", "quiet")
    assert project.ok("cat", "HEAD:busy").raw == path.read_bytes()
    project.ok("fsck")


def write_below(start, folders, name, content):
    """Write a file in folders within folders, whose path may be longer than a system call takes."""
    at = os.open(start, os.O_RDONLY)
    for folder in folders:
        os.mkdir(folder, dir_fd=at)
        above, at = at, os.open(folder, os.O_RDONLY, dir_fd=at)
        os.close(above)
    with open(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=at), "wb") as file:
        file.write(content)
    os.close(at)


def test_very_deep_folders(deep):
    project = deep
    depth = 1000
    write_below(project.directory, [b"d"] * depth, b"deep", b"deep\n")
    for words in (("status",), ("commit", "-qm", "deep"), ("ls",), ("log", "--stat"), ("fsck",)):
        project.ok(*words)
    path = "/".join(["d"] * depth) + "/deep"
    assert project.ok("cat", f"HEAD:{path}").raw == b"deep\n"
    project.ok("switch", "-q", "-c", "other", "HEAD~1")
    assert not (project.directory / "d").exists()
    project.ok("switch", "-q", "main")
    assert project.ok("status", "-s").out == ""
    (project.directory / path).write_text("changed\n")
    project.ok("commit", "-qm", "changed")
    project.ok("diff", "HEAD~1", "HEAD")
    project.ok("merge", "other")


def test_a_path_too_long_for_the_disk_is_an_error_in_words(deep, refused):
    project = deep
    write_below(project.directory, [b"n" * 250] * 20, b"f", b"far\n")
    for words in (("status",), ("commit", "-qm", "x")):
        answer = project(*words)
        if answer.code != 0:
            refused(answer, 3)


def test_empty_files_and_folders(project):
    (project.directory / "empty").write_bytes(b"")
    (project.directory / "a" / "b" / "c").mkdir(parents=True)
    project.ok("commit", "-qm", "empty")
    project.ok("switch", "-q", "-c", "other", "HEAD~1")
    assert names(project) & {b"a", b"empty"} == set()
    project.ok("switch", "-q", "main")
    assert (project.directory / "a" / "b" / "c").is_dir()
    assert (project.directory / "empty").read_bytes() == b""
    assert project.ok("status", "-s").out == ""
    project.ok("fsck")
