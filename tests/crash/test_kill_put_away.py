"""Kill `hub put-away` before each of its calls that change the disk: what was removed is in a pack or in a bundle."""

import json
import os
import shutil

import pytest
from mortal import Project

from dsvc.hub.located import locate, opened
from dsvc.objects.ids import content_id

STEP = int(os.environ.get("KILL_STEP", "7"))  # 1 tries every call
LARGE = b"".join(b"%d\n" % n for n in range(100_000))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with a hub, in whose repository one branch was deleted and another one was rewound."""
    base = tmp_path_factory.mktemp("start")
    mine = Project(base / "mine")
    mine.folder.mkdir()
    mine.ok("init", "-q")
    mine.ok("hub", "init", "../host/hub")
    mine.ok("remote", "add", "origin", "../host/hub/repos/vision")
    for name, content in (("code", b"1\n"), ("gone", b"deleted\n"), ("data", LARGE)):
        mine.clock += 60
        if name != "code":
            mine.ok("switch", "-q", "-c", name, "main")
        (mine.folder / name).write_bytes(content)
        mine.ok("add", name)
        mine.ok("commit", "-qm", name)
        branch = "main" if name == "code" else name
        mine.ok("push", "-q", "origin", branch)
    mine.clock += 60
    mine.ok("push", "-q", "origin", "--delete", "gone")
    (mine.folder / "data").write_bytes(LARGE + b"amended\n")
    mine.ok("commit", "-qa", "--amend", "-m", "data, amended")
    mine.clock += 60
    mine.ok("push", "-q", "--force-with-lease", "origin", "data")
    return Project(base / "host", mine.clock + 60)


def held(host):
    """Return the files of which a pack that is listed, or a bundle, has the content, and how many bundles there are."""
    listing = json.loads(host.ok("hub", "attic", "hub", "--json"))["bundles"]
    here = host.folder.parent / "clone"
    for bundle in listing:
        shutil.rmtree(here, ignore_errors=True)
        host.ok("clone", "-q", "hub/repos/vision", str(here))
        clone = Project(here, host.clock, host.home)
        clone.ok("bundle", "verify", bundle["path"])
        clone.ok("fetch", "-q", bundle["path"], f"{bundle['ref']}:heads/back")
        bundle["files"] = {clone.ok("cat", f"back:{name}").encode() for name in clone.ok("ls", "-r", "back").split()}

    def look():
        with opened(locate(host.folder / "hub" / "repos", "vision")) as repo:
            contents = (b"1\n", b"deleted\n", LARGE, LARGE + b"amended\n")
            return {content for content in contents if repo.store.has_file(content_id(content))}

    return listing, host.inside(look)


def test_nothing_is_lost(start, tmp_path):
    killed = 0
    for at in range(1, 10_000, STEP):
        host = start.copy(tmp_path / "host")
        answer, died = host.try_to_run(("hub", "put-away", "hub", "vision"), at_call=at)
        check = Project(host.folder / "hub" / "repos" / "vision", host.clock, host.home)
        check.ok("fsck", "-q")
        said = {entry["operation"] for entry in json.loads(host.ok("hub", "log", "hub", "--json"))["entries"]}
        assert len(said) == 6
        for file, ref in ((b"deleted\n", "heads/gone"), (LARGE, "heads/data")):
            bundles, stored = held(host)
            assert file in stored or any(one["ref"] == ref and file in one["files"] for one in bundles), (at, file[:10])
        host.ok("hub", "put-away", "hub", "vision")
        bundles, stored = held(host)
        assert sorted(one["ref"] for one in bundles) == ["heads/data", "heads/gone"]
        assert stored == {b"1\n", LARGE + b"amended\n"}
        check.ok("fsck", "-q")
        assert {entry["operation"] for entry in json.loads(host.ok("hub", "log", "hub", "--json"))["entries"]} == said
        if not died:
            assert answer.code == 0
            break
        killed += 1
    assert killed * STEP > 20
