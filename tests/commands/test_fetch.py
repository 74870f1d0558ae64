"""`dsvc fetch` and `dsvc ls-remote`, as people meet them."""


def test_what_came(clones):
    bob = clones.join("bob")
    first = clones.there("main")
    second = clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("push", "-q", "origin", "main", "main:topic")
    dry = bob.ok("fetch", "-n").err
    answer = bob.ok("fetch")
    lines = answer.err.splitlines()
    assert lines[0] == f"From {clones.hub}"
    assert lines[1] == f"   {first[:10]}..{second[:10]}  main  -> origin/main"
    assert lines[2] == " * [new branch]            topic -> origin/topic"
    assert lines[3].startswith("3 objects, ")
    assert dry.splitlines() == lines[:3]
    assert bob.ok("fetch").err == ""
    assert bob.ok("rev-parse", "main").out.strip() == first, "no branch of Bob's has moved"
    assert bob.ok("status", "--porcelain").out == ""


def test_tags_come_once_and_are_not_moved(clones):
    bob = clones.join("bob")
    clones.ada.ok("tag", "v1")
    clones.ada.ok("push", "-q", "--tags")
    assert " * [new tag]  v1 -> v1\n" in bob.ok("fetch").err
    old = bob.ok("rev-parse", "v1").out
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("tag", "-f", "v1")
    clones.ada.ok("push", "-q", "-f", "origin", "v1", "main")
    bob.ok("fetch")
    assert bob.ok("rev-parse", "v1").out == old
    answer = bob("fetch", "--tags")
    assert answer.code == 1
    assert "! [rejected]  v1 -> v1  (there is another tag of that name here)" in answer.err
    bob.ok("fetch", "--force")
    assert bob.ok("rev-parse", "v1").out.strip() == clones.there("tags/v1")
    eve = clones.join("eve", "--no-tags")
    assert eve.ok("tag").out == ""


def test_what_is_gone_there_is_pruned_when_asked(clones):
    clones.ada.ok("push", "-q", "origin", "main:topic")
    bob = clones.join("bob")
    clones.ada.ok("push", "-q", "-d", "origin", "topic")
    assert bob.ok("fetch").err == ""
    assert "origin/topic" in bob.ok("remote", "show").out
    assert " - [deleted]  origin/topic\n" in bob.ok("fetch", "-p").err
    assert bob.ok("branch", "-r").out.split() == ["origin/HEAD", "->", "origin/main", "origin/main"]


def test_by_name(clones):
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("tag", "v1", "HEAD~1")
    clones.ada.ok("push", "-q", "--tags", "origin", "main:topic", "main:other")
    bob = clones.join("bob", "--single-branch")
    bob.ok("config", "--unset", "remote.origin.fetch")
    bob.ok("fetch", "-q", "origin", "topic")
    assert bob.ok("rev-parse", "FETCH_HEAD").out == bob.ok("rev-parse", "origin/topic").out
    assert "other" not in bob.ok("branch", "-r").out
    bob.ok("fetch", "-q", "origin", "other:mine", "v1")
    assert bob.ok("rev-parse", "mine").out.strip() == clones.there("other")
    answer = bob("fetch", "origin", "nothing")
    assert (answer.code, answer.err) == (3, "dsvc: origin has no branch or tag nothing\nhint: dsvc ls-remote origin\n")


def test_a_branch_is_not_moved_under_a_working_copy(clones):
    bob = clones.join("bob")
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("push", "-q")
    before = bob.ok("rev-parse", "main").out
    answer = bob("fetch", "origin", "main:main")
    assert answer.code == 1
    assert "a working copy stands on it here" in answer.err
    assert bob.ok("rev-parse", "main").out == before
    assert bob.ok("status", "--porcelain").out == ""


def test_from_an_address_that_counts_from_the_current_folder(clones):
    clones.join("bob")
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("push", "-q")
    bob = clones.person("bob")
    inside = bob.directory / "folder"
    answer = bob("fetch", "../../hub", "main", directory=inside)
    assert answer.code == 0
    assert answer.err.endswith(f"main is {clones.there('main')[:10]} there (FETCH_HEAD)\n")
    bob.ok("gc", "-q", "--prune=now")
    bob.ok("merge", "-q", "FETCH_HEAD")
    assert (bob.directory / "a").read_text() == "2"
    assert bob.ok("branch", "-r").out.split() == ["origin/HEAD", "->", "origin/main", "origin/main"]
    bob.ok("fsck", "-q")


def test_switch_begins_a_branch_that_follows(clones):
    clones.ada.ok("push", "-q", "origin", "main:topic")
    bob = clones.join("bob")
    bob.ok("switch", "-q", "topic")
    assert bob.ok("status", "--json").json["upstream"]["name"] == "origin/topic"
    bob.ok("branch", "-m", "renamed")
    assert bob.ok("status", "--json").json["upstream"]["name"] == "origin/topic", "a new name follows the same"
    bob.ok("switch", "-q", "main")
    bob.ok("branch", "-D", "renamed")
    assert "renamed" not in bob.ok("config", "--list").out


def test_ls_remote(clones):
    clones.ada.ok("tag", "v1")
    clones.ada.ok("push", "-q", "--tags")
    head = clones.ada.ok("rev-parse", "HEAD").out.strip()
    assert clones.ada.ok("ls-remote").out == f"{head}\tHEAD\n{head}\theads/main\n{head}\ttags/v1\n"
    assert clones.ada.ok("ls-remote", "--tags").out == f"{head}\ttags/v1\n"
    assert clones.ada.ok("ls-remote", "origin", "v*").out == f"{head}\ttags/v1\n"
    assert clones.ada("ls-remote", "origin", "nothing").code == 1
    assert clones.ada("ls-remote", "../nothing").code == 14
    outside = clones.person(".")
    assert outside.ok("ls-remote", "hub", "v*").out == f"{head}\ttags/v1\n"
    assert outside("ls-remote", "nothing").code == 14
    assert outside("ls-remote").code == 10, "without a repository there are no remotes"
    assert not (clones.base / ".dsvc").exists()


def test_a_worktree_for_a_branch_of_the_remote(clones):
    bob = clones.join("bob")
    clones.ada.ok("switch", "-q", "-c", "topic")
    clones.commit(clones.ada, "on the topic", {"b": "1"})
    clones.ada.ok("push", "-q")
    bob.ok("fetch", "-q")
    bob.ok("worktree", "add", "../beside", "topic")
    beside = clones.person("beside")
    assert (beside.directory / "b").read_text() == "1"
    assert beside.ok("status", "--json").json["upstream"]["name"] == "origin/topic"
    assert bob("worktree", "add", "../third", "nothing").code == 3
