"""Everything on the way back to the raw data is looked for."""

from __future__ import annotations

import json
from typing import Any

from tests.runs.conftest import Project


def verified(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    done = project("verify", "--json", *words)
    assert done.returncode == code, done.stdout.decode() + done.stderr.decode()
    return json.loads(done.stdout)


def test_a_sound_chain_is_proved(stages: Project):
    for name in ("wide:model.json", "@", "wide"):
        found = verified(stages, name, "--content")
        assert (found["mark"], found["findings"]) == ("proved", [])
    assert found["runs"] >= 3
    assert "proved by hashes" in stages.ok("verify", "model.json")


def test_what_is_declared_is_told_and_no_failure(project: Project):
    project.write("a.csv", "1\n")
    project.ok("run", "-q", "-i", "a.csv", "--", "sh", "-c", "cat a.csv > b.csv")
    assert verified(project, "b.csv")["mark"] == "claimed"


def test_ignored_inputs_are_missing_once_they_change(project: Project):
    project.write(".dsvcignore", "*.bin\n")
    project.write("near.bin", "2")
    project.ok("run", "-q", "--", "python", "-c", "open('out', 'w').write(open('near.bin').read() + '!')")
    assert verified(project, "out")["mark"] == "proved"
    project.write("near.bin", "3")
    found = verified(project, "out", code=1)
    assert [finding["text"] for finding in found["findings"]] == ["its content is neither stored nor where it was"]


def test_a_correction_and_an_unknown_file_are_gaps(stages: Project):
    stages.write("clean.csv", "7\n")
    stages.ok("commit", "-qm", "by hand")
    stages.ok("run", "-q", "--", "python", "features.py")
    assert "no run explains it" in {f["text"] for f in verified(stages, "features.csv", code=1)["findings"]}
    assert verified(stages, "raw/day1.csv", code=1)["mark"] == "missing"


def test_a_removed_run_is_a_gap(stages: Project):
    run = json.loads(stages.ok("blame-data", "--json", "clean.csv"))["files"][0]["run"]
    stages.ok("runs", "rm", run)
    # features.csv is explained still; that clean.csv was written by a run is not known any more.
    found = json.loads(stages.ok("lineage", "--json", "features.csv"))
    assert not [edge for edge in found["edges"] if edge["what"] == "wrote" and edge["target"].startswith("file:clean")]
    assert verified(stages, "clean.csv", code=1)["mark"] == "missing"
