"""`dsvc remote`, as people meet it."""

import multiprocessing


def test_list(clones):
    ada = clones.ada
    ada.ok("remote", "add", "backup", "ssh://host/srv/x")
    ada.ok("remote", "set-url", "--push", "backup", "host:other")
    assert ada.ok("remote").out == "backup\norigin\n"
    assert ada.ok("remote", "-v").out == (
        "backup\tssh://host/srv/x (fetch)\nbackup\thost:other (push)\n"
        f"origin\t{clones.hub} (fetch)\norigin\t{clones.hub} (push)\n"
    )
    assert ada.ok("remote", "get-url", "origin").out == f"{clones.hub}\n"
    for option in ((), ("-v",), ("--json",)):
        assert ada.ok("remote", "list", *option).out == ada.ok("remote", *option).out


def test_a_relative_folder_counts_from_where_it_was_typed(clones):
    inside = clones.ada.directory / "folder"
    assert clones.ada("remote", "add", "up", "../../hub", directory=inside).code == 0
    clones.ada.ok("fetch", "-q", "up")
    assert "up/main" in clones.ada.ok("branch", "-r").out


def test_names_and_addresses_that_cannot_be(clones):
    ada = clones.ada
    assert ada("remote", "add", "origin", "x").code == 3
    for name in ("a b", "a/b", "", "..", "-x", "a..b", "x.lock"):
        assert ada("remote", "add", "--", name, "x").code == 2, name
    for address in ("", "ftp://host/x", "file://host/x", "s3://", "ssh://host", "a\nb", "ssh://-oProxyCommand=x/y"):
        assert ada("remote", "add", "new", address).code == 2, address
    assert ada("remote", "add", "--single-writer", "new", "../hub").code == 2
    assert ada("remote", "remove", "nothing").code == 2
    assert ada("remote", "rename", "origin", "a b").code == 2
    assert ada.ok("remote").out == "origin\n"


def test_rename(clones):
    bob = clones.join("bob")
    bob.ok("remote", "rename", "origin", "up")
    assert bob.ok("branch", "-a").out == "* main\n  remotes/up/HEAD -> up/main\n  remotes/up/main\n"
    assert bob.ok("status", "--json").json["upstream"]["name"] == "up/main"
    bob.ok("pull", "-q")
    bob.ok("push", "-q")


def test_rename_of_one_that_fetches_a_single_branch(clones):
    bob = clones.join("bob", "--single-branch")
    bob.ok("remote", "rename", "origin", "up")
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("push", "-q")
    bob.ok("pull", "-q")
    assert bob.ok("rev-parse", "up/main").out.strip() == clones.there("main")


def test_remove(clones):
    bob = clones.join("bob")
    bob.ok("remote", "remove", "origin")
    assert bob.ok("branch", "-a").out == "* main\n"
    assert bob.ok("status", "--json").json["upstream"] is None
    assert bob.ok("config", "--list").out.count("origin") == 0
    answer = bob("push")
    assert (answer.code, answer.err) == (
        2,
        "dsvc: this repository has no remote\nhint: dsvc remote add origin ADDRESS\n",
    )
    assert clones.there("main") is not None


def test_show_and_prune(clones):
    clones.ada.ok("push", "-q", "origin", "main:topic")
    bob = clones.join("bob")
    clones.ada.ok("push", "-q", "-d", "origin", "topic")
    clones.ada.ok("push", "-q", "origin", "main:new")
    shown = bob.ok("remote", "show", "--json").json
    assert [(b["name"], b["tracked"]) for b in shown["branches"]] == [
        ("main", "remotes/origin/main"),
        ("new", None),
    ]
    assert shown["stale"] == ["remotes/origin/topic"]
    assert "Would prune origin/topic" in bob.ok("remote", "prune", "-n").err
    assert "Pruned origin/topic" in bob.ok("remote", "prune").err
    assert bob.ok("remote", "prune").err == ""


def test_one_name_is_added_once_by_several_at_once(clones):
    """Each of them has read that the name is free before the first one writes."""
    fork = multiprocessing.get_context("fork")
    answers, start = fork.SimpleQueue(), fork.Barrier(6)

    def add(number):
        start.wait(30)
        answer = clones.ada("remote", "add", "up", f"../hub{number}")
        answers.put((answer.code, answer.err, number))

    processes = [fork.Process(target=add, args=(number,)) for number in range(6)]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join(30)
    (winner,) = [number for code, _, number in found if code == 0]
    assert [code for code, _, _ in found].count(3) == 5
    assert all("there is already a remote up" in err for code, err, _ in found if code)
    assert clones.ada.ok("remote", "get-url", "up").out.strip().endswith(f"/hub{winner}")
