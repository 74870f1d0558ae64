"""`dsvc clone`, as people meet it."""

import os


def test_everything_comes_along(clones):
    ada = clones.ada
    (ada.directory / "run").write_text("#!/bin/sh\n")
    (ada.directory / "run").chmod(0o755)
    (ada.directory / "link").symlink_to("folder/b")
    (ada.directory / "empty").touch()
    (ada.directory / "nothing" / "here").mkdir(parents=True)
    clones.commit(ada, "all kinds", {"large": os.urandom(3_000_000)})
    tree, blob = ada.ok("rev-parse", "HEAD:folder").out.strip(), ada.ok("rev-parse", "HEAD:large").out.strip()
    ada.ok("tag", "a-tree", tree)
    ada.ok("tag", "-m", "a file", "a-file", blob)
    ada.ok("push", "-q", "--tags", "origin", "main")
    bob = clones.join("bob")
    assert (bob.directory / "run").stat().st_mode & 0o111
    assert (bob.directory / "link").readlink().as_posix() == "folder/b"
    assert (bob.directory / "empty").read_bytes() == b""
    assert (bob.directory / "nothing" / "here").is_dir()
    assert (bob.directory / "large").read_bytes() == (ada.directory / "large").read_bytes()
    assert bob.ok("status", "--porcelain").out == ""
    assert bob.ok("rev-parse", "a-tree").out.strip() == tree
    assert bob.ok("rev-parse", "a-file^{}").out.strip() == blob
    assert bob.ok("fsck", "-q").err == ""
    assert bob.ok("log", "--format=%H").out == ada.ok("log", "--format=%H").out


def test_the_branch_follows_the_one_there(clones):
    bob = clones.join("bob")
    assert bob.ok("status").out.startswith("On branch main\nIt is up to date with origin/main\n")
    assert bob.ok("branch", "-a").out == "* main\n  remotes/origin/HEAD -> origin/main\n  remotes/origin/main\n"


def test_where_it_stands(clones):
    ada = clones.ada
    ada.ok("tag", "v1")
    ada.ok("switch", "-q", "-c", "topic")
    clones.commit(ada, "topic", {"t": "t"})
    ada.ok("push", "-q", "--tags", "origin", "topic")
    on_topic = clones.join("bob", "-b", "topic")
    assert (on_topic.directory / "t").read_text() == "t"
    assert on_topic.ok("status", "--json").json["upstream"]["name"] == "origin/topic"
    at_tag = clones.join("eve", "-b", "v1")
    assert at_tag.ok("status", "--json").json["branch"] is None
    assert not (at_tag.directory / "t").exists()
    answer = clones.person(".")("clone", "-b", "nope", "hub", "none")
    assert answer.code == 3
    assert "has no branch or tag nope" in answer.err
    assert not (clones.base / "none").exists(), "nothing was fetched for that"


def test_a_single_branch_stays_alone(clones):
    ada = clones.ada
    ada.ok("tag", "-m", "on main", "v1")
    clones.commit(ada, "main goes on", {"m": "m"})
    ada.ok("push", "-q")
    ada.ok("switch", "-q", "-c", "topic", "HEAD~1")
    clones.commit(ada, "topic", {"t": "t"})
    ada.ok("push", "-q", "--tags", "origin", "topic")
    bob = clones.join("bob", "--single-branch", "-b", "topic")
    assert bob.ok("branch", "-r").out.split() == ["origin/topic"]
    assert bob.ok("tag").out == "v1\n", "the tag belongs to the branch"
    clones.commit(ada, "topic goes on", {"t": "tt"})
    ada.ok("push", "-q", "origin", "topic", "topic:another")
    bob.ok("fetch", "-q")
    assert bob.ok("branch", "-r").out.split() == ["origin/topic"]
    bob.ok("pull", "-q")
    clones.commit(bob, "bob's", {"t": "ttt"})
    bob.ok("push", "-q")
    bob.ok("fsck", "-q")
    eve = clones.join("eve", "--single-branch")
    assert "topic" not in eve.ok("branch", "-r").out
    assert (eve.directory / "m").read_text() == "m", "the one the hub stands on"


def test_a_single_branch_goes_on_after_gc(clones):
    """History of other branches came along and was collected; what is pushed does not need it."""
    ada = clones.ada
    for number in range(3):
        clones.commit(ada, f"main {number}", {"m": str(number)})
    ada.ok("push", "-q")
    ada.ok("switch", "-q", "-c", "topic", "main~3")
    clones.commit(ada, "topic", {"t": "t"})
    ada.ok("push", "-q")
    bob = clones.join("bob", "--single-branch", "-b", "topic")
    bob.ok("gc", "-q", "--prune=now")
    clones.commit(bob, "bob's", {"b": "b"})
    bob.ok("push", "-q")
    bob.ok("fsck", "-q")
    bob.ok("config", "--unset", "remote.origin.fetch")
    bob.ok("fetch", "-q")
    assert bob.ok("cat", "origin/main:m").out == "2"
    bob.ok("fsck", "-q")


def test_an_empty_repository(clones):
    clones.ada.ok("-c", "init.defaultBranch=trunk", "init", "-q", "../new")
    answer = clones.person(".").ok("clone", "new", "eve")
    assert "of an empty repository" in answer.err
    eve = clones.person("eve")
    assert eve.ok("branch", "--show-current").out == "trunk\n"
    clones.commit(eve, "first", {"a": "a"})
    assert eve.ok("status", "--json").json["upstream"] == {
        "name": "origin/trunk",
        "ahead": 0,
        "behind": 0,
        "gone": True,
    }


def test_folders_that_are_in_use(clones):
    start = clones.person(".")
    (clones.base / "full").mkdir()
    (clones.base / "full" / "file").write_text("mine")
    answer = start("clone", "hub", "full")
    assert answer.code == 3
    assert "exists and is not an empty folder" in answer.err
    assert [path.name for path in (clones.base / "full").iterdir()] == ["file"]
    (clones.base / "empty").mkdir()
    start.ok("clone", "-q", "hub", "empty")
    assert start("clone", "hub").code == 3, "the folder is called as the hub is"
    missing = start("clone", "nothing", "here")
    assert missing.code == 14
    assert missing.err.endswith("hint: check the address\n")
    assert not (clones.base / "here").exists()


def test_into_the_folder_where_one_is(clones):
    here = clones.person("here")
    here.directory.mkdir()
    here.ok("clone", "-q", str(clones.hub), ".")
    assert here.ok("status", "--porcelain").out == ""
    assert (here.directory / "a").read_text() == "one\n"
    assert here("clone", "..").code == 2  # where to


def test_without_files(clones):
    bob = clones.join("bob", "-n")
    assert [path.name for path in bob.directory.iterdir()] == [".dsvc"]
    bob.ok("restore", ".")
    assert bob.ok("status", "--porcelain").out == ""


def test_another_name_for_the_remote(clones):
    bob = clones.join("bob", "-o", "up")
    assert bob.ok("remote").out == "up\n"
    assert bob.ok("status", "--json").json["upstream"]["name"] == "up/main"


def test_from_a_working_copy(clones):
    start = clones.person(".")
    start.ok("clone", "-q", "ada", "copy")
    assert (clones.base / "copy" / "a").read_text() == "one\n"
    assert clones.person("copy").ok("remote", "get-url", "origin").out == f"{clones.base}/ada\n"


def test_a_clone_into_the_current_folder(cli, tmp_path):
    cli.ok("init", "-q")
    (cli.directory / "a.txt").write_text("a\n")
    cli.ok("commit", "-qm", "a")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert cli("clone", "-q", str(cli.directory), ".", directory=empty).code == 0
    assert (empty / "a.txt").read_text() == "a\n"
    assert cli("clone", "-q", str(cli.directory), ".", directory=empty).code == 3
