"""What is done for a remote from afar: gc, purge and fsck, over each kind of place."""

from blake3 import blake3

from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import cli
from tests.remotes.far import noise
from tests.remotes.test_everywhere import Team, commit, team
from tests.servers.sshd import sshd

__all__ = ["cli", "sshd", "team"]


def test_gc(team: Team) -> None:
    ada = team.first("ada")
    for number in range(12):
        commit(ada, f"number {number}", {f"file{number}": b"content %d\n" % number, "data": bytes(300_000 + number)})
        ada.ok("push", "-q", "origin", "main")
    ada.ok("switch", "-q", "-c", "topic")
    commit(ada, "topic", {"only": b"on topic"})
    ada.ok("push", "-q", "origin", "topic")
    bob = team.clone("bob")
    ada.ok("push", "-q", "--delete", "origin", "topic")

    ada.environment["DSVC_DATE"] = "2040-01-01T00:00:00Z"
    plan = ada.ok("gc", "--remote", "origin", "--prune=now", "--dry-run", "--json").json
    assert plan["dry_run"] is True
    assert plan["remote"] == "origin"
    done = ada.ok("gc", "--remote", "origin", "--prune=now", "--json").json
    assert done["packs_before"] == plan["packs_before"] > 20
    assert done["packs_after"] <= 6
    assert done["objects_removed"] > 3
    assert done["bytes_after"] < done["bytes_before"]
    assert not list((ada.directory / ".dsvc" / "transfers").glob("*/ahead-*"))

    bob.ok("fetch", "--prune")
    commit(bob, "bob's", {"bob": b"bob\n"})
    bob.ok("push", "-q")
    ada.ok("switch", "-q", "main")
    ada.ok("pull", "-q")
    again = ada.ok("gc", "--remote", "origin")
    assert "before:" in again.out
    assert "after:" in again.out
    carol = team.clone("carol")
    assert (carol.directory / "file3").read_bytes() == b"content 3\n"
    assert (carol.directory / "bob").read_bytes() == b"bob\n"
    assert carol("fsck").code == 0


def test_the_repository_of_a_working_copy_is_left_to_itself(cli, tmp_path) -> None:
    cli.ok("init", "-q", "theirs")
    cli.ok("init", "-q")
    cli.ok("remote", "add", "theirs", str(cli.directory / "theirs"))
    answer = cli("gc", "--remote", "theirs")
    assert answer.code == 3
    assert "working copy" in answer.err


SECRET = b"the password is swordfish\n"
LARGE = bytes(range(256)) * 4000 + b"swordfish"


def test_without_a_name_the_usual_remote_is_meant(cli, tmp_path) -> None:
    cli.ok("init", "-q")
    assert "no remote" in cli("fsck", "--remote").err
    (cli.directory / "key").write_bytes(b"secret\n")
    cli.ok("commit", "-q", "-m", "a key")
    for name in ("other", "origin"):
        cli.ok("remote", "add", name, str(tmp_path / name))
        cli.ok("push", "-q", name, "main")
    assert cli.ok("fsck", "--remote", "--full", "--json").json["remote"] == "origin"
    assert cli.ok("gc", "--json", "--remote").json["remote"] == "origin"
    assert cli("gc", "--remote", "--", "--json").code == 2, "what stands after -- is no option"
    cli.ok("push", "-q", "--set-upstream", "other", "main")
    assert cli.ok("gc", "--remote", "--json").json["remote"] == "other", "the branch follows that one"
    done = cli.ok("purge", "key", "--yes", "--reason", "it was a key", "--json", "--remote").json
    assert (done["remote"], done["remote_objects"]) == ("other", 1)
    assert cli("fsck", "--remote", "nowhere").code == 2


def test_purge(team: Team) -> None:
    ada = team.first("ada")
    commit(ada, "first", {"secret": SECRET, "large": LARGE, "a": b"a\n"})
    ada.ok("push", "-q", "origin", "main")
    bob, carol = team.clone("bob"), team.clone("carol")
    ada.ok("rm", "-q", "secret", "large")
    commit(ada, "without", {"b": b"b\n"})
    ada.ok("push", "-q")

    why = "published by mistake"
    done = ada.ok("purge", "--remote", "origin", "secret", "large", "--reason", why, "--yes", "--json")
    assert set(done.json["files"]) == {blake3(SECRET).hexdigest(), blake3(LARGE).hexdigest()}
    assert done.json["remote"] == "origin"
    assert done.json["remote_packs"] >= 2
    for pack in (ada.directory / ".dsvc/store/packs").iterdir():
        assert b"swordfish" not in pack.read_bytes()

    dora = team.clone("dora")
    assert dora.ok("cat", "main:b").out == "b\n"
    gone = dora("cat", "main~1:secret")
    assert gone.code == 3
    assert "purged by" in gone.err
    assert "published by mistake" in gone.err
    assert dora("fsck").code == 0

    fetched = bob.ok("fetch", "--json").json["fetched"][0]
    assert set(fetched["purged"]) == set(done.json["files"])
    assert bob.ok("cat", "main:secret").out.encode() == SECRET, "a clone keeps what it has"
    bob.ok("pull", "-q")
    commit(bob, "again", {"copy/of/secret": SECRET})
    refused = bob("push")
    assert refused.code == 14
    assert "copy/of/secret" in refused.err
    assert "published by mistake" in refused.err
    bob.ok("purge", "copy/of/secret", "--reason", "it was purged", "--yes")
    bob.ok("push", "-q")

    commit(carol, "with what she has", {"c": b"c\n"})
    carol.ok("pull", "-q", "--rebase")
    carol.ok("push", "-q")
    assert ada("gc", "--remote", "origin").code == 0
    assert ada("fsck").code == 0


def test_notes_go_along_with_history(team: Team) -> None:
    """What was purged before the first push is missing there with a reason."""
    ada = team.first("ada")
    commit(ada, "first", {"secret": SECRET, "a": b"a\n"})
    ada.ok("rm", "-q", "secret")
    commit(ada, "without", {"b": b"b\n"})
    ada.ok("purge", "secret", "--reason", "a key", "--yes")
    ada.ok("push", "-q", "origin", "main")
    bob = team.clone("bob")
    assert "a key" in bob("cat", "main~1:secret").err
    assert bob("fsck").code == 0


def backend_of(team: Team) -> Backend:
    """Open the place behind everybody's back."""
    if team.address.startswith("s3://"):
        bucket, _, prefix = team.address.removeprefix("s3://").partition("/")
        return open_s3(S3Settings(bucket, prefix), environment=team.environment)
    return LocalBackend(team.base / "shared")


def test_fsck(team: Team) -> None:
    ada = team.first("ada")
    for number in range(4):
        commit(ada, f"number {number}", {f"dir/file{number}": b"content %d\n" % number, "big": noise(number, 400_000)})
        ada.ok("push", "-q", "origin", "main")
    assert ada.ok("fsck", "--remote", "origin", "--json").json["whole"] is True
    assert "nothing is damaged" in ada.ok("fsck", "--remote", "origin", "--full").err

    place = backend_of(team)
    sizes = dict(place.list(""))
    largest = max(sizes, key=lambda key: sizes[key])
    data = place.get(largest)
    place.delete(largest)
    quick = ada("fsck", "--remote", "origin", "--json")
    assert quick.code == 15
    assert {hit["path"] for d in quick.json["damage"] for hit in d["hits"]} == {"big"}
    assert "--repair-from" in quick.json["damage"][0]["hint"]
    place.put(largest, data[:50_000] + b"rotten" + data[50_006:])
    full = ada("fsck", "--remote", "origin", "--full")
    assert full.code == 15
    assert "big in commit" in full.out
    assert "--full --repair-from OTHER" in full.out, "without --full nobody would find that"

    mended = ada.ok("fsck", "--remote", "origin", "--full", "--repair-from", ".", "--json").json
    assert mended["whole"] is True
    assert mended["damage_found"] > 0
    assert mended["objects_mended"] > 0
    place.close()
    bob = team.clone("bob")
    assert (bob.directory / "big").read_bytes() == noise(3, 400_000)
    assert bob("fsck").code == 0
    assert ada("fsck", "--remote", "origin", "--repair-from", "origin").code == 0
    assert ada("fsck", "--remote", "origin", "--quick").code == 2
    assert ada("fsck", "--full").code == 2
