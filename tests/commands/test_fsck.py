"""`dsvc fsck`: names what is damaged, and the paths and commits it hits."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "data").mkdir()
    (cli.directory / "data" / "big.bin").write_bytes(random.Random(1).randbytes(400_000))
    cli.ok("commit", "-m", "first")
    return cli.directory


def damage_largest_pack(project: Path) -> None:
    pack = max((project / ".dsvc/store/packs").iterdir(), key=lambda p: p.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[100] ^= 0xFF
    pack.chmod(0o644)
    pack.write_bytes(content)


def test_a_whole_repository(cli, project):
    answer = cli.ok("fsck")
    assert answer.out == ""
    assert "nothing is damaged" in answer.err
    assert cli.ok("fsck", "--quick", "--json").json["whole"] is True


def test_damage_is_named_with_path_and_commit(cli, project):
    damage_largest_pack(project)
    answer = cli("fsck")
    assert answer.code == 15
    commit = cli.ok("rev-parse", "HEAD").out[:10]
    assert f"data/big.bin in commit {commit}" in answer.out
    document = cli("fsck", "--json").json
    assert document["whole"] is False
    assert any(hit["path"] == "data/big.bin" for d in document["damage"] for hit in d["hits"])


def test_damaged_objects_are_dropped_and_come_back(cli, project):
    damage_largest_pack(project)
    assert cli("fsck", "--drop-damaged").code == 15
    cli.ok("add", "--repair", "data")
    cli.ok("fsck")


@pytest.mark.parametrize("way", ["flip", "gone"])
def test_work_goes_on_without_any_copy_whatever_was_hit(cli, project, way):
    for number in range(3):
        (project / "data" / "small").write_text(f"{number}\n")
        cli.ok("commit", "-m", f"change {number}")
    files = {p.name: p.read_bytes() for p in (project / "data").iterdir()}
    back = 0
    for number, pack in enumerate(sorted((project / ".dsvc/store/packs").iterdir())):
        hit = project.parent / f"hit{number}"
        shutil.copytree(project, hit)
        here, place = ("-C", str(hit)), hit / ".dsvc/store/packs" / pack.name
        if way == "gone":
            place.unlink()
        else:
            content = bytearray(place.read_bytes())
            content[40] ^= 1
            place.chmod(0o644)
            place.write_bytes(content)
        assert cli(*here, "fsck").code == 15
        answer = cli(*here, "fsck", "--drop-damaged")
        assert answer.code == 15
        shown = cli.ok(*here, "status", "-s").out
        assert {p.name: p.read_bytes() for p in (hit / "data").iterdir()} == files
        assert cli.ok(*here, "log", "-n1", "--oneline").out
        if "is back at" in answer.err or "the newest operation here was lost" in answer.err:
            back += 1
            assert "hint: dsvc status shows what to commit again\n" in answer.err
            assert "data/small" in shown
        cli.ok(*here, "commit", "--allow-empty", "-m", "on")
        assert cli.ok(*here, "status", "-s").out == ""
    assert back > 0


def test_nothing_is_taken_out_where_no_refs_would_be_left(cli, project):
    packs = project / ".dsvc/store/packs"
    packs.rename(project / "away")
    answer = cli("fsck", "--drop-damaged")
    assert answer.code == 15
    assert "no refs can be read at all, so nothing was taken out\n" in answer.err
    assert "hint: put .dsvc/store back from a backup" in answer.err
    assert "is missing from" in answer.out
    (project / "away").rename(packs)
    cli.ok("fsck")
    assert cli.ok("status", "-s").out == ""


def test_damage_of_a_commit_names_the_branches_and_of_old_refs_what_needs_them(cli, project):
    for number in range(2):
        (project / "data" / "small").write_text(f"{number}\n")
        cli.ok("commit", "-m", f"change {number}")
    seen = set()
    for pack in sorted((project / ".dsvc/store/packs").iterdir()):
        content = pack.read_bytes()
        pack.unlink()
        for found in cli("fsck", "--json").json["damage"]:
            if found["kind"] == "commit":
                assert [hit["refs"] for hit in found["hits"]] == [["main"]]
                assert "in the history of main\n" in cli("fsck").out
            if found["kind"] in ("view", "operation"):
                seen.add("dsvc gc --prune now" in found["hint"])
        pack.write_bytes(content)
    assert seen == {False, True}  # the newest ones, and those before
    cli.ok("fsck")


def test_sound_copies_come_from_a_remote(cli, project):
    for n in range(3):
        (project / "data" / "small").write_text(f"{n}\n")
        cli.ok("commit", "-m", f"change {n}")
    cli.ok("clone", ".", "../copy")
    cli.ok("remote", "add", "copy", "../copy")
    damage_largest_pack(project)
    assert "repair: dsvc fsck --repair-from REMOTE" in cli("fsck").out
    cli("fetch", "copy")  # its commits are here, so it brings nothing
    assert cli("fsck").code == 15
    document = cli.ok("fsck", "--repair-from", "copy", "--json").json
    assert (document["remote"], document["damage_found"], document["objects_mended"]) == (None, 1, 1)
    (project / "data" / "big.bin").unlink()
    cli.ok("restore", "data/big.bin")
    assert (project / "data" / "big.bin").read_bytes() == random.Random(1).randbytes(400_000)


def test_a_lost_pack_comes_back_from_a_folder_whatever_it_held(cli, project):
    (project / "data" / "small").write_text("1\n")
    cli.ok("commit", "-m", "second")
    cli.ok("clone", ".", "../copy")
    log = cli.ok("log", "--oneline").out
    lost_newest = 0
    for number, pack in enumerate(sorted((project / ".dsvc/store/packs").iterdir())):
        hit = project.parent / f"hit{number}"
        shutil.copytree(project, hit, symlinks=True)
        (hit / ".dsvc/store/packs" / pack.name).unlink()
        here = ("-C", str(hit))
        assert cli(*here, "fsck").code == 15
        answer = cli.ok(*here, "fsck", "--repair-from", "../copy")
        cli.ok(*here, "fsck")
        if "the newest operation here was lost" in answer.err:
            lost_newest += 1
            cli.ok(*here, "pull", "../copy", "main")
        assert cli.ok(*here, "log", "--oneline").out == log
        assert cli.ok(*here, "status", "-s").out == ""
    assert lost_newest == 1


def test_where_all_refs_are_lost_a_repair_says_what_is_left_to_do(cli, project):
    cli.ok("clone", ".", "../copy")
    for pack in (project / ".dsvc/store/packs").iterdir():
        pack.unlink()
    answer = cli("fsck", "--repair-from", "../copy")
    assert answer.code == 15
    assert "hint: clone ../copy anew" in answer.err or f"hint: clone {project.parent / 'copy'} anew" in answer.err


def test_a_repair_needs_another_repository(cli, project):
    assert cli("fsck", "--repair-from", ".").code == 2
    assert cli("fsck", "--repair-from", "../copy", "--drop-damaged").code == 2
    assert cli("fsck", "--repair-from", "../nowhere").code == 0  # nothing is damaged, so nobody is asked


def test_a_lost_list_of_packs_is_told_of_with_the_way_back(cli, project):
    (project / "data" / "small").write_text("1\n")
    cli.ok("commit", "-m", "second")
    for listed in (project / ".dsvc/store/lists").iterdir():
        content = listed.read_bytes()
        listed.unlink()
        answer = cli("fsck")
        listed.write_bytes(content)
        if answer.code:
            assert "remove the newest file of .dsvc/store/cells/head" in answer.err
            return
    pytest.fail("the newest list is none of the files")


def test_a_repository_without_a_working_copy_is_mended_from_a_clone(cli, project):
    bare = project.parent / "bare"
    cli.ok("remote", "add", "bare", str(bare))
    cli.ok("push", "bare", "main")
    pack = max((bare / "packs").iterdir(), key=lambda p: p.stat().st_size)
    pack.unlink()
    answer = cli("-C", str(bare), "fsck")
    assert answer.code == 15
    command = f"dsvc fsck --remote {bare} --full --repair-from OTHER"
    assert f"repair: {command}, in a clone of it" in answer.out
    refused = cli("-C", str(bare), "fsck", "--repair-from", str(project))
    assert refused.code == 3
    assert command in refused.err
    cli.ok(*command.replace("OTHER", ".").split()[1:])
    cli.ok("-C", str(bare), "fsck")
