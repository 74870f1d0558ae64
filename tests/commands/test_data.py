"""`dsvc data` against real remotes, a real web server and a real bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine
from tests.servers.seaweed import Seaweed
from tests.servers.web import Web

ONE, TWO = b"1" * 5000, os.urandom(600_000)


@pytest.fixture
def project(cli: CommandLine, web: Web) -> CommandLine:
    """A repository with references to `/one` and `/two` that are committed."""
    web.files.update({"/one": ONE, "/two": TWO})
    cli.ok("init", "-q")
    cli.ok("import-url", "--reference", f"{web.url}/one", "data/one")
    cli.ok("import-url", "--reference", f"{web.url}/two", "data/two")
    cli.ok("commit", "-q", "-m", "references")
    return cli


def read(project: CommandLine, path: str) -> bytes:
    return (project.directory / path).read_bytes()


def test_get_checks_out_and_history_keeps_the_reference(project: CommandLine, web: Web):
    commit = project.ok("rev-parse", "HEAD").out
    answer = project.ok("data", "get", "data/two", "--json").json
    assert (answer["files"], answer["fetched"], answer["references"], answer["checked_out"]) == (1, 1, 1, 1)
    assert read(project, "data/two") == TWO
    assert not (project.directory / "data/one").exists()
    assert "clean" in project.ok("status").out
    os.utime(project.directory / "data/two")  # touched, and its content is the same
    assert "clean" in project.ok("status").out
    assert project("commit", "-q", "-m", "nothing").code == 3
    assert project.ok("rev-parse", "HEAD").out == commit
    count = len(web.requests)
    project.ok("data", "get", "data/two")
    assert len(web.requests) == count  # it is not fetched twice
    assert "nothing is damaged" in project.ok("fsck").err


def test_a_change_of_a_fetched_file_is_a_file(project: CommandLine):
    project.ok("data", "get", "data/one")
    (project.directory / "data/one").write_bytes(b"mine")
    assert "data/one" in project.ok("status").out
    project.ok("commit", "-q", "-m", "mine")
    kinds = {line.split()[-1]: line.split()[0] for line in project.ok("ls", "-l", "HEAD", "data").out.splitlines()}
    assert kinds == {"data/one": "file", "data/two": "reference"}
    project.ok("switch", "-q", "-c", "before", "HEAD~1")
    assert read(project, "data/one") == ONE
    project.ok("switch", "-q", "main")
    assert read(project, "data/one") == b"mine"


def test_a_lost_index_takes_what_was_fetched_for_what_it_is(project: CommandLine):
    project.ok("data", "get", "data/one")
    (project.directory / ".dsvc/worktree/index").unlink()
    assert "clean" in project.ok("status").out
    assert read(project, "data/one") == ONE


def test_pin_commits_the_content(project: CommandLine, web: Web):
    (project.directory / "other.txt").write_text("not committed")
    answer = project.ok("data", "get", "--pin", "data/one", "--json").json
    assert answer["commit"] == project.ok("rev-parse", "HEAD").out.strip()
    assert read(project, "data/one") == ONE
    assert "other.txt" in project.ok("status").out
    kinds = {line.split()[-1]: line.split()[0] for line in project.ok("ls", "-l", "HEAD", "data").out.splitlines()}
    assert kinds == {"data/one": "file", "data/two": "reference"}
    web.files["/one"] = b"newer"  # where it came from is known
    assert project.ok("data", "update", "-n").out.split() == ["changed:", "data/one"]


def test_what_changed_at_the_source_is_not_taken_for_it(project: CommandLine, web: Web):
    web.files["/one"] = b"2" * 5000
    answer = project("data", "get", "data/one")
    assert answer.code == 14
    assert "has changed since it was imported" in answer.err
    assert "data update" in answer.err
    del web.files["/two"]
    assert "nothing at" in project("cat", "HEAD:data/two").err
    assert not (project.directory / "data").exists()


def test_what_is_gone_at_the_source_keeps_nothing_else_back(project: CommandLine, web: Web):
    names = [f"{number:02}" for number in range(30)]
    for name in names:
        web.files[f"/{name}"] = name.encode() * 500
        project.ok("import-url", "--reference", f"{web.url}/{name}", f"data/{name}")
    project.ok("commit", "-q", "-m", "more")
    head = project.ok("rev-parse", "HEAD").out
    del web.files["/03"]
    web.files["/one"] = b"other"
    answer = project("data", "get", "--pin")
    assert answer.code == 14
    assert "2 of " in answer.err
    assert "data/03: there is nothing at" in answer.err
    assert "data/one: " in answer.err
    assert project.ok("rev-parse", "HEAD").out == head  # not all could be pinned
    assert sorted(os.listdir(project.directory / "data")) == sorted({*names, "two"} - {"03"})
    assert read(project, "data/29") == b"29" * 500
    assert "clean" in project.ok("status").out
    count = len(web.requests)
    assert project("data", "get", "data/04", "data/05").code == 0
    assert len(web.requests) == count
    web.files["/03"] = b"03" * 500
    web.files["/one"] = ONE
    project.ok("data", "get")
    assert read(project, "data/03") == b"03" * 500


def test_content_that_differs_under_the_same_etag_is_refused(project: CommandLine, web: Web):
    project.ok("data", "get", "data/one")
    project.ok("data", "drop", "data/one")
    web.etag_of = lambda data: "same"
    web.files["/liar"] = b"a" * 100
    project.ok("import-url", "--reference", f"{web.url}/liar", "liar")
    project.ok("data", "get", "liar")
    project.ok("data", "drop", "liar")
    web.files["/liar"] = b"b" * 100
    answer = project("data", "get", "liar")
    assert answer.code == 14
    assert "another content than before" in answer.err


def test_offline(project: CommandLine):
    answer = project("--offline", "cat", "HEAD:data/one")
    assert answer.code == 14
    assert "stay offline" in answer.err


def test_update_takes_up_changes(project: CommandLine, web: Web):
    project.ok("data", "get", "data/one")
    web.files["/one"] = b"newer"
    del web.files["/two"]
    said = project.ok("data", "update", "--dry-run").out.split()
    assert said == ["changed:", "data/one", "vanished:", "data/two"]
    assert "clean" in project.ok("status").out
    project.ok("data", "update")
    assert read(project, "data/one") == b"newer"  # it was checked out, so the new one is
    project.ok("commit", "-q", "-m", "newer")
    assert project.ok("ls", "HEAD", "data").out.split() == ["data/one", "data/two"]
    project.ok("data", "update", "--delete")
    project.ok("commit", "-q", "-m", "without two")
    assert project.ok("ls", "HEAD", "data").out.split() == ["data/one"]
    assert "as they were" in project.ok("data", "update").err


def test_update_keeps_off_changed_files(project: CommandLine, web: Web):
    project.ok("data", "get", "data/one")
    (project.directory / "data/one").write_bytes(b"mine")
    web.files["/one"] = b"newer"
    assert "data/one" in project("data", "update").err
    assert read(project, "data/one") == b"mine"


def test_update_of_references_of_which_some_were_pinned(cli: CommandLine, seaweed: Seaweed):
    pytest.importorskip("obstore")
    cli.environment.update(seaweed.environment)
    bucket, client = seaweed.bucket(), seaweed.client()
    for name in ("changes", "pinned", "same"):
        client.put_object(Bucket=bucket, Key=f"d/{name}", Body=name.encode())
    cli.ok("init", "-q")
    cli.ok("import-url", "--prefix", "--reference", f"s3://{bucket}/d", "refs")
    cli.ok("commit", "-q", "-m", "refs")
    cli.ok("data", "get", "-q", "--pin", "refs/pinned")
    for name in ("changes", "pinned", "zoo"):
        client.put_object(Bucket=bucket, Key=f"d/{name}", Body=b"newer " + name.encode())
    cli.ok("data", "update")
    cli.ok("commit", "-q", "-m", "newer")
    rows = [line.split() for line in cli.ok("ls", "-l", "HEAD", "refs").out.splitlines()]
    kinds = {row[-1].removeprefix("refs/"): row[0] for row in rows}
    assert kinds == {"changes": "reference", "pinned": "file", "same": "reference", "zoo": "reference"}
    assert (cli.directory / "refs/pinned").read_bytes() == b"newer pinned"


def test_update_of_a_prefix(cli: CommandLine, seaweed: Seaweed):
    pytest.importorskip("obstore")
    cli.environment.update(seaweed.environment)
    bucket, client = seaweed.bucket(), seaweed.client()
    for name in ("same", "changes", "goes"):
        client.put_object(Bucket=bucket, Key=f"d/{name}", Body=name.encode())
    cli.ok("init", "-q")
    cli.ok("import-url", "--prefix", "--reference", f"s3://{bucket}/d", "refs")
    cli.ok("import-url", "--prefix", f"s3://{bucket}/d", "copies")
    cli.ok("commit", "-q", "-m", "both")
    client.put_object(Bucket=bucket, Key="d/changes", Body=b"changed")
    client.put_object(Bucket=bucket, Key="d/sub/new", Body=b"new")
    client.delete_object(Bucket=bucket, Key="d/goes")
    found = cli.ok("data", "update", "--json").json
    for word, name in (("changed", "changes"), ("new", "sub/new"), ("vanished", "goes")):
        assert [row["path"] for row in found[word]] == [f"copies/{name}", f"refs/{name}"], word
    assert (cli.directory / "copies/changes").read_bytes() == b"changed"
    assert (cli.directory / "copies/sub/new").read_bytes() == b"new"
    assert not (cli.directory / "refs").exists()
    cli.ok("commit", "-q", "-m", "updated")
    assert cli.ok("cat", "HEAD:refs/sub/new").raw == b"new"
    again = cli.ok("data", "update", "--json").json
    assert (again["changed"], again["new"], [row["path"] for row in again["vanished"]]) == (
        [], [], ["copies/goes", "refs/goes"],
    )  # fmt: skip


def test_list(project: CommandLine, web: Web):
    (project.directory / "own.txt").write_text("own")
    project.ok("commit", "-q", "-m", "own")
    project.ok("data", "get", "data/one")
    rows = [json.loads(line) for line in project.ok("data", "list", "--json").out.splitlines()]
    told = {row["path"]: (row["kind"], row["here"], row["address"]) for row in rows}
    assert told["data/one"] == ("reference", True, f"{web.url}/one")
    assert told["data/two"] == ("reference", False, f"{web.url}/two")
    assert told["own.txt"] == ("file", True, None)
    assert project.ok("data", "list", "--absent").out.split()[-2:] == ["data/two", f"{web.url}/two"]


def test_drop_asks_remotes_again(project: CommandLine, tmp_path: Path):
    (project.directory / "own.bin").write_bytes(TWO)
    project.ok("commit", "-q", "-m", "own")
    project.ok("remote", "add", "origin", str(tmp_path / "there"))
    answer = project("data", "drop", "own.bin")
    assert answer.code == 3
    assert "nothing was dropped" in answer.err
    project.ok("push", "-q")
    (tmp_path / "there").rename(tmp_path / "away")
    answer = project("data", "drop", "own.bin")
    assert answer.code == 3
    assert "origin: " in answer.err
    assert read(project, "own.bin") == TWO
    (tmp_path / "away").rename(tmp_path / "there")
    assert project("data", "drop", "--numcopies", "2", "own.bin").code == 3
    assert project.ok("data", "drop", "own.bin", "--json").json["size"] == len(TWO)
    assert not (project.directory / "own.bin").exists()
    assert "clean" in project.ok("status").out
    assert "nothing is damaged" in project.ok("fsck").err
    stored = sum(p.stat().st_size for p in (project.directory / ".dsvc/store/packs").iterdir())
    assert stored < 100_000
    assert project.ok("cat", "HEAD:own.bin").raw == TWO
    project.ok("data", "get", "own.bin")
    assert read(project, "own.bin") == TWO


def test_drop_keeps_what_holds_changes(project: CommandLine):
    project.ok("data", "get", "data/one")
    (project.directory / "data/one").write_bytes(b"mine")
    assert "hold changes" in project("data", "drop", "data/one").err
    assert read(project, "data/one") == b"mine"


def test_drop_asks_the_source_of_a_reference(project: CommandLine, web: Web):
    project.ok("data", "get", "data")
    web.files["/one"] = b"another"
    answer = project("data", "drop", "data")
    assert answer.code == 3
    assert "data/one" in answer.err
    assert read(project, "data/one") == ONE
    project.ok("data", "drop", "data/two")
    assert sorted(p.name for p in (project.directory / "data").iterdir()) == ["one"]
    assert "nothing is damaged" in project.ok("fsck").err
    project.ok("gc")
    assert project.ok("cat", "HEAD:data/two").raw == TWO


def test_where(project: CommandLine, tmp_path: Path, web: Web):
    (project.directory / "own.bin").write_bytes(TWO)
    project.ok("commit", "-q", "-m", "own")
    project.ok("remote", "add", "origin", str(tmp_path / "there"))
    project.ok("remote", "add", "gone", str(tmp_path / "nowhere"))
    project.ok("push", "-q", "origin", "main")
    assert project.ok("data", "where", "own.bin").out == "own.bin: here\n"
    answer = project.ok("data", "where", "--check")
    assert "gone was not asked" in answer.err
    told = dict(line.split(": ", 1) for line in project.ok("data", "where").out.splitlines())
    assert told["own.bin"].startswith("here, origin (seen 20")
    assert told["data/one"] == f"{web.url}/one"


def test_another_clone_reads_references_from_their_source(project: CommandLine, tmp_path: Path, web: Web):
    project.ok("remote", "add", "origin", str(tmp_path / "there"))
    project.ok("data", "get", "data/two")
    project.ok("push", "-q", "origin", "main")
    project.ok("clone", "-q", str(tmp_path / "there"), str(tmp_path / "clone"))
    other = CommandLine(tmp_path / "clone", project.environment)
    assert "clean" in other.ok("status").out
    assert not (tmp_path / "clone/data").exists()
    assert other.ok("cat", "HEAD:data/two").raw == TWO
    assert "nothing is damaged" in other.ok("fsck").err
    for place in (tmp_path / "there", tmp_path / "clone/.dsvc/store"):
        record = next(p for p in place.rglob("*") if p.is_file() and b'"base-1"' in p.read_bytes()[:200])
        assert b'"references-1"' in record.read_bytes().partition(b'"read": [')[2].partition(b"]")[0]
    other.ok("export", "HEAD", str(tmp_path / "out"))
    assert (tmp_path / "out/data/one").read_bytes() == ONE


def test_merges_of_references(project: CommandLine, web: Web):
    project.ok("switch", "-q", "-c", "side")
    web.files["/one"] = b"side"
    project.ok("data", "update")
    project.ok("commit", "-q", "-m", "side")
    project.ok("switch", "-q", "main")
    project.ok("merge", "-q", "side")
    assert project.ok("cat", "HEAD:data/one").raw == b"side"
    project.ok("switch", "-q", "-c", "third", "HEAD~1")
    web.files["/one"] = b"third"
    project.ok("data", "update")
    project.ok("commit", "-q", "-m", "third")
    answer = project("merge", "side")
    assert answer.code == 13
    assert "data/one" in answer.out + answer.err
    project.ok("merge", "--abort")
    assert "clean" in project.ok("status").out


def test_restore_of_what_is_absent(project: CommandLine, web: Web):
    assert "data get data/one" in project("restore", "data/one").err
    project.ok("rm", "data/one")
    assert "deleted:    data/one" in project.ok("status").out
    project.ok("restore", "data/one")
    assert "clean" in project.ok("status").out
    web.files["/one"] = b"newer"
    project.ok("data", "update")
    project.ok("restore", "data/one")
    assert "clean" in project.ok("status").out


def test_a_run_reads_what_was_fetched(project: CommandLine):
    project.ok("data", "get", "data/one")
    project.ok("run", "-q", "--input", "data/one", "--", "sh", "-c", "wc -c < data/one > out.txt")
    shown = project.ok("runs", "show", "--json").json
    [pin] = shown["inputs"]["files"]
    assert (pin["path"], pin["kind"], pin["state"]) == ("data/one", "file", "pinned")
    assert project.ok("cat", pin["id"]).raw == ONE


def test_sparse_working_copies_do_not_fetch(project: CommandLine, web: Web):
    (project.directory / "code.py").write_text("code")
    project.ok("commit", "-q", "-m", "code")
    count = len(web.requests)
    project.ok("sparse", "set", "data")
    project.ok("sparse", "disable")
    assert len(web.requests) == count
    assert "clean" in project.ok("status").out
    assert (project.directory / "code.py").exists()


def test_an_import_that_is_killed_leaves_the_repository_as_it_was(project: CommandLine, web: Web, tmp_path: Path):
    web.files["/big"] = os.urandom(30_000_000)
    web.stall_after = 20_000_000
    program = [sys.executable, "-m", "dsvc", "import-url", f"{web.url}/big", "big"]
    process = subprocess.Popen(program, cwd=project.directory, env=project.environment, stderr=subprocess.DEVNULL)
    assert web.stalled.wait(30)
    process.kill()
    process.wait()
    web.go_on.set()
    assert "clean" in project.ok("status").out
    assert "nothing is damaged" in project.ok("fsck").err
    web.stall_after = None
    project.ok("import-url", f"{web.url}/big", "big")
    assert read(project, "big") == web.files["/big"]
