"""`dsvc push`, as people meet it."""

import re

import pytest
from blake3 import blake3

from dsvc.storage.local import LocalBackend

STASHED = ("stash -q",)
ON_A_BRANCH = ("switch -q -c private", "commit -q -m private", "switch -q main")
UNDONE = ("commit -q -m undone", "undo")


def short(text):
    return re.sub(r"\b[0-9a-f]{10}\b", "<id>", re.sub(r"[\d.,]+ (B|KiB) sent", "<size> sent", text))


def test_the_first_push_makes_the_place_and_says_so(clones):
    clones.ada.ok("remote", "add", "second", "../second")
    answer = clones.ada.ok("push", "second")
    assert short(answer.err) == (
        f"Made a repository at {clones.base}/second\nTo {clones.base}/second\n"
        " * [new branch]  main -> main\n5 objects, <size> sent\n"
    )
    assert clones.ada.ok("push", "second").err == "Everything is there already\n"


def test_a_branch_follows_what_it_was_first_pushed_to(clones):
    clones.ada.ok("switch", "-q", "-c", "topic")
    assert "topic follows origin/topic\n" in clones.ada.ok("push").err
    assert clones.ada.ok("rev-parse", "--abbrev-ref", "@{u}").out.strip() in ("origin/topic", "remotes/origin/topic")
    clones.commit(clones.ada, "more", {"a": "more"})
    assert "ahead 1" in clones.ada.ok("branch", "-v").out
    clones.ada.ok("push")
    assert "[origin/topic]" in clones.ada.ok("branch", "-v").out


def test_a_branch_that_was_begun_from_another_one_is_not_pushed_over_that(clones):
    """As in git: `switch -c mine origin/main` follows main, and a plain push must not move it."""
    clones.ada.ok("switch", "-q", "-c", "mine", "origin/main")
    clones.commit(clones.ada, "mine", {"a": "mine"})
    answer = clones.ada("push")
    assert answer.code == 3
    assert "'dsvc push -u origin mine'" in answer.err
    assert "'dsvc push origin HEAD:main'" in answer.err
    before = clones.there("main")
    clones.ada.ok("push", "-u", "origin", "mine")
    assert clones.there("main") == before
    assert clones.ada.ok("push").err == "Everything is there already\n"


def test_what_others_pushed_is_not_overwritten(clones):
    bob = clones.join("bob")
    theirs = clones.commit(bob, "bob's", {"b": "b"})
    bob.ok("push")
    clones.commit(clones.ada, "ada's", {"c": "c"})
    answer = clones.ada("push")
    assert answer.code == 12
    assert " ! [rejected]  main -> main  (it has commits that are not here)\n" in answer.err
    assert answer.err.endswith("hint: dsvc pull origin joins what is there, then push again\n")
    assert clones.ada("push", "--force-with-lease").code == 12, "it is not what Ada fetched"
    clones.ada.ok("fetch")
    assert "(it has commits that yours has not)" in clones.ada("push").err
    assert clones.there("main") == theirs
    clones.ada.ok("push", "--force-with-lease")
    assert clones.there("main") == clones.ada.ok("rev-parse", "HEAD").out.strip()
    assert "(forced)" in bob.ok("fetch").err


def test_a_branch_that_is_behind_is_told_apart(clones):
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("push")
    clones.ada.ok("reset", "-q", "--hard", "HEAD~1")
    answer = clones.ada("push")
    assert answer.code == 12
    assert "it is ahead of yours\nhint: dsvc pull origin\n" in answer.err


def test_a_lease_names_a_ref_and_a_commit(clones):
    first = clones.there("main")
    clones.ada.ok("commit", "-q", "--amend", "-m", "better")
    assert clones.ada("push", "--force-with-lease=main:nothing").code == 3
    wrong = clones.ada("push", f"--force-with-lease=main:{'0' * 64}")
    assert wrong.code == 12, "an id may be of what only the remote has, and this one is not what is there"
    assert clones.there("main") == first
    assert clones.ada("push", "--force-with-lease=main:HEAD").code == 12
    assert clones.ada("push", "--force-with-lease=other").code == 12, "the lease is on another ref"
    clones.ada.ok("push", f"--force-with-lease=main:{first}")
    assert clones.ada("push", "--force-with-lease=main:", "origin", "main~0:main").code == 0, "nothing to do"
    answer = clones.ada("push", "--force-with-lease=main:", "origin", f"{first}:main")
    assert answer.code == 12
    assert "it is there already" in answer.err


def test_who_amended_what_they_pushed_is_told_of_the_lease(clones):
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("push", "-q")
    clones.ada.ok("commit", "-q", "--amend", "-m", "better")
    clones.ada.ok("commit", "-q", "--amend", "-m", "better still")
    refused = clones.ada("push")
    assert refused.code == 12
    assert refused.err.endswith("hint: dsvc push --force-with-lease origin main replaces it by what yours is now\n")
    clones.ada.ok("push", "-q", "--force-with-lease", "origin", "main")
    assert clones.there("main") == clones.ada.ok("rev-parse", "HEAD").out.strip()
    clones.ada.ok("push", "-q", "origin", "main:other")
    clones.ada.ok("commit", "-q", "--amend", "-m", "another time")
    refused = clones.ada("push", "origin", "main:other")
    assert "hint: dsvc push --force-with-lease origin main:other replaces" in refused.err
    clones.ada.ok("push", "-q", "--force-with-lease", "origin", "main:other")
    clones.ada.ok("commit", "-q", "--amend", "-m", "once more")
    for what in ("HEAD:other", "HEAD~0:other", "@:other"):
        refused = clones.ada("push", "origin", what)
        assert f"hint: dsvc push --force-with-lease origin {what} replaces" in refused.err
    clones.ada.ok("push", "-q", "--force-with-lease", "origin", "HEAD:other")
    clones.ada.ok("switch", "-q", "--detach", "HEAD")
    clones.ada.ok("commit", "-q", "--allow-empty", "-m", "third")
    clones.ada.ok("push", "-q", "origin", "HEAD:third")
    clones.ada.ok("commit", "-q", "--amend", "--allow-empty", "-m", "third, but better")
    assert "--force-with-lease origin HEAD:third replaces" in clones.ada("push", "origin", "HEAD:third").err


def test_who_left_out_what_others_pushed_is_told_to_pull(clones):
    """Although their branch was at it, too, after a pull."""
    bob = clones.join("bob")
    theirs = clones.commit(bob, "of Bob", {"b": "1"})
    bob.ok("push", "-q")
    clones.ada.ok("pull", "-q")
    assert clones.ada.ok("rev-parse", "HEAD").out.strip() == theirs
    clones.ada.ok("reset", "-q", "--hard", "HEAD~1")
    clones.commit(clones.ada, "of Ada", {"a": "2"})
    refused = clones.ada("push")
    assert refused.code == 12
    assert refused.err.endswith("hint: dsvc pull origin joins what is there, then push again\n")


def test_a_lease_may_stand_before_the_remote(clones):
    clones.ada.ok("commit", "-q", "--amend", "-m", "better")
    clones.ada.ok("push", "--force-with-lease", "origin", "main")


def test_refspecs(clones):
    clones.ada.ok("tag", "v1")
    clones.commit(clones.ada, "second", {"a": "2"})
    head, first = (clones.ada.ok("rev-parse", name).out.strip() for name in ("HEAD", "HEAD~1"))
    clones.ada.ok("push", "origin", "HEAD:one", "HEAD~1:refs/heads/two", "v1:w1", "main:tags/t", f"{first}:heads/three")
    assert {n: clones.there(n) for n in ("one", "two", "three", "tags/w1", "tags/t")} == {
        "one": head,
        "two": first,
        "three": first,
        "tags/w1": first,
        "tags/t": head,
    }
    clones.ada.ok("push", "origin", "+HEAD~1:one")
    assert clones.there("one") == first
    clones.ada.ok("push", "origin", ":one", ":tags/t")
    assert clones.there("one") is None
    assert clones.there("tags/t") is None


def test_deleting(clones):
    clones.ada.ok("push", "origin", "main:topic")
    assert clones.ada.ok("push", "-d", "origin", "topic").err.endswith(" - [deleted]  topic\n")
    assert clones.there("topic") is None
    assert clones.ada.ok("branch", "-r").out.split() == ["origin/main"]
    answer = clones.ada("push", "-d", "origin", "topic")
    assert (answer.code, answer.err) == (
        3,
        "dsvc: origin has no branch topic\nhint: dsvc ls-remote origin\n",
    )
    assert clones.ada("push", "-d", "origin", "main").code == 12, "the default branch stays"


def test_tags(clones):
    clones.ada.ok("tag", "plain")
    clones.ada.ok("tag", "-m", "with a message", "v1")
    clones.ada.ok("push", "--follow-tags")
    assert clones.there("tags/v1") is not None
    assert clones.there("tags/plain") is None, "--follow-tags takes those with a message"
    clones.ada.ok("push", "--tags")
    assert clones.there("tags/plain") is not None
    clones.commit(clones.ada, "second", {"a": "2"})
    clones.ada.ok("tag", "-f", "plain")
    answer = clones.ada("push", "origin", "plain")
    assert answer.code == 12
    assert "there is another tag of that name there\nhint: dsvc push --force-with-lease=tags/plain:" in answer.err
    unnamed = clones.ada("push", "--force-with-lease", "origin", "plain")
    assert unnamed.code == 12
    assert "hint: dsvc push --force-with-lease=tags/plain:" in unnamed.err, "a fetch would not help"
    words = answer.err.partition("hint: dsvc ")[2].split(" replaces it")[0].split()
    bob = clones.join("bob")
    bob.ok("tag", "-m", "of bob's own, which nobody here has", "-f", "plain")
    bob.ok("push", "-f", "origin", "tags/plain")
    assert clones.ada(*words).code == 12, "the lease is on the one that was shown"
    answer = clones.ada("push", "origin", "plain")
    clones.ada.ok(*answer.err.partition("hint: dsvc ")[2].split(" replaces it")[0].split())
    assert clones.there("tags/plain") == clones.ada.ok("rev-parse", "plain").out.strip()


def test_one_refused_ref_does_not_hold_up_the_others(clones):
    bob = clones.join("bob")
    theirs = clones.commit(bob, "bob's", {"b": "b"})
    bob.ok("push")
    clones.commit(clones.ada, "ada's", {"c": "c"})
    answer = clones.ada("push", "origin", "main", "main:other")
    assert answer.code == 12
    assert clones.there("main") == theirs
    assert clones.there("other") == clones.ada.ok("rev-parse", "main").out.strip()


def test_mirror_and_prune(clones):
    ada = clones.ada
    ada.ok("tag", "v1")
    ada.ok("branch", "topic")
    ada.ok("push", "-q", "--mirror", "../mirror")
    assert [line.split("\t")[1] for line in ada.ok("ls-remote", "../mirror").out.splitlines()] == [
        "HEAD",
        "heads/main",
        "heads/topic",
        "tags/v1",
    ]
    ada.ok("branch", "-D", "topic")
    ada.ok("tag", "-d", "v1")
    ada.ok("commit", "-q", "--amend", "-m", "other")
    ada.ok("push", "-q", "--mirror", "../mirror")
    listed = ada.ok("ls-remote", "../mirror").out
    assert "topic" not in listed
    assert "v1" not in listed
    assert ada.ok("rev-parse", "main").out.strip() in listed
    ada.ok("push", "-q", "-f", "origin", "main", "main:old")
    ada.ok("push", "-q", "--prune", "--all", "origin")
    assert clones.there("old") is None
    assert ada("push", "--prune", "origin").code == 2


def test_a_dry_run_changes_nothing(clones):
    before = clones.there("main")
    clones.commit(clones.ada, "second", {"a": "2"})
    assert "main -> main" in clones.ada.ok("push", "-n").err
    assert clones.there("main") == before
    tried = clones.ada("push", "-n", "../nowhere")
    assert tried.code == 14
    assert "without --dry-run a first push makes one there" in tried.err
    assert not (clones.base / "nowhere").exists()


def test_nothing_private_is_sent(clones):
    """No stash, no other branch, no undone commit and no operation of this repository is in the hub."""
    ada = clones.ada
    secrets = [b"secret %d " % number * 2000 for number in range(3)]
    for secret, lines in zip(secrets, (STASHED, ON_A_BRANCH, UNDONE), strict=True):
        (ada.directory / "secret").write_bytes(secret)
        for line in lines:
            ada.ok(*line.split())
        (ada.directory / "secret").unlink(missing_ok=True)
    clones.commit(ada, "second", {"a": "2"})
    ada.ok("push")
    bob = clones.join("bob")
    for secret in secrets:
        assert ada("rev-parse", blake3(secret).hexdigest()).code == 0
        assert bob("rev-parse", blake3(secret).hexdigest()).code != 0
    assert len(bob.ok("log", "--format=%s").out.splitlines()) == 2


def test_a_working_copy_is_not_moved_under_its_files(clones):
    bob = clones.join("bob")
    clones.commit(clones.ada, "second", {"a": "2"})
    answer = clones.ada("push", "../bob", "main")
    assert answer.code == 12
    assert "a working copy stands on it there" in answer.err
    assert "main:incoming/main" in answer.err
    clones.ada.ok("push", "../bob", "main:incoming/main")
    assert bob.ok("status", "--porcelain").out == ""
    bob.ok("merge", "incoming/main")
    assert (bob.directory / "a").read_text() == "2"


def test_mistakes(clones):
    assert "there is no remote 'main', that is a branch\nhint: name the remote first" in clones.ada("push", "main").err
    assert clones.ada("push", "origin", "nothing").code == 3
    assert clones.ada("push", "--delete").code == 2
    assert clones.ada("push", "origin", "main:").code == 2
    (clones.base / "full").mkdir()
    (clones.base / "full" / "file").write_text("mine")
    assert clones.ada("push", "../full").code == 14
    assert [path.name for path in (clones.base / "full").iterdir()] == ["file"]
    clones.ada.ok("switch", "-q", "--detach", "HEAD")
    answer = clones.ada("push")
    assert answer.code == 3
    assert answer.err == "dsvc: HEAD is on no branch\nhint: dsvc push origin HEAD:BRANCH\n"


def test_json(clones):
    clones.commit(clones.ada, "second", {"a": "2"})
    document = clones.ada.ok("push", "--json").json
    assert document["updates"][0]["outcome"] == "moved"
    assert 0 < document["bytes"] < 2000
    assert document["objects"] == 3


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (b'{"dsvc": 1, "read": ["base-1"], "write": ["base-1", "later"]}\n', "writing to origin needs features"),
        (b'{"dsvc": 1, "read": ["base-1", "later"], "write": []}\n', "origin needs features"),
        (b'{"dsvc": 2}\n', "origin has format 2, which"),
    ],
)
def test_a_remote_of_a_newer_version_is_named(clones, record, text):
    clones.commit(clones.ada, "second", {"a": "2"})
    store = LocalBackend(clones.hub)
    assert store.swap_cell("format", store.read_cell("format"), record)
    answer = clones.ada("push")
    assert answer.code == 16
    assert text in answer.err
    assert "hint: install a newer dsvc\n" in answer.err
