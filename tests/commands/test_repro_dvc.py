"""`dsvc repro` beside a real `dvc repro`: a pipeline of four stages, the same changes made in both projects."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine

DATA = "".join(f"{n},{'good' if n % 3 else 'bad'},word{n % 7} term{n % 5} item{n % 4}\n" for n in range(60))
PARAMS = {
    "prepare": {"split": 0.25, "seed": 3},
    "featurize": {"max_features": 40, "ngrams": 1},
    "train": {"seed": 5, "n_est": 4},
}
PREPARE = """
import json, os, random
own = json.load(open("params.yaml"))["prepare"]
lines = open("data/posts.csv").read().splitlines()
random.Random(own["seed"]).shuffle(lines)
cut = int(len(lines) * own["split"])
os.makedirs("prepared", exist_ok=True)
for name, part in (("test", lines[:cut]), ("train", lines[cut:])):
    open(f"prepared/{name}.csv", "w").write("".join(line + "\\n" for line in part))
"""
FEATURIZE = """
import collections, json, os
own = json.load(open("params.yaml"))["featurize"]
def grams(text):
    words = text.split()
    return [" ".join(words[i:i + n + 1]) for n in range(own["ngrams"]) for i in range(len(words) - n)]
rows = {n: [line.split(",") for line in open(f"prepared/{n}.csv").read().splitlines()] for n in ("train", "test")}
counts = collections.Counter(gram for row in rows["train"] for gram in grams(row[2]))
known = sorted(counts, key=lambda gram: (-counts[gram], gram))[:own["max_features"]]
os.makedirs("features", exist_ok=True)
for name, part in rows.items():
    table = [[row[1], [grams(row[2]).count(gram) for gram in known]] for row in part]
    json.dump(table, open(f"features/{name}.json", "w"))
"""
TRAIN = """
import json, random
own = json.load(open("params.yaml"))["train"]
width = len(json.load(open("features/train.json"))[0][1])
draw = random.Random(own["seed"])
json.dump([[draw.random() for _ in range(width)] for _ in range(own["n_est"])], open("model.json", "w"))
"""
EVALUATE = """
import json, os
model = json.load(open("model.json"))
scores = []
for label, row in json.load(open("features/test.json")):
    scores.append((sum(sum(w * x for w, x in zip(tree, row)) for tree in model) / len(model), label))
os.makedirs("eval", exist_ok=True)
right = sum((score > 0.5) == (label == "good") for score, label in scores)
json.dump({"accuracy": right / len(scores)}, open("eval/metrics.json", "w"))
open("eval/scores.csv", "w").write("score,label\\n" + "".join(f"{s},{label}\\n" for s, label in sorted(scores)))
"""
SCRIPTS = {"prepare": PREPARE, "featurize": FEATURIZE, "train": TRAIN, "evaluate": EVALUATE}
READS = {
    "prepare": ["data/posts.csv"],
    "featurize": ["prepared"],
    "train": ["features"],
    "evaluate": ["model.json", "features"],
}
WRITES = {
    "prepare": ["prepared"],
    "featurize": ["features"],
    "train": ["model.json"],
    "evaluate": ["eval/scores.csv"],
}
METRICS = "eval/metrics.json"
NAMES = {name: [f"{name}.{key}" for key in section] for name, section in PARAMS.items()}
EVERY = list(SCRIPTS)


def their_pipeline() -> str:
    """dvc.yaml. JSON is YAML, here as in params.yaml, so that the scripts need no more than the standard library."""
    stages = {}
    for name in SCRIPTS:
        stages[name] = {"cmd": f"python {name}.py", "deps": [f"{name}.py", *READS[name]], "outs": list(WRITES[name])}
        if name in NAMES:
            stages[name]["params"] = NAMES[name]
    evaluate = {**stages["evaluate"], "outs": [], "metrics": [METRICS], "plots": WRITES["evaluate"]}
    return json.dumps({"stages": {**stages, "evaluate": evaluate}})


def our_pipeline() -> str:
    text = ""
    for name in SCRIPTS:
        values = {"cmd": f"python {name}.py", "deps": [f"{name}.py", *READS[name]], "outs": list(WRITES[name])}
        if name in NAMES:
            values["params"] = NAMES[name]
        if name == "evaluate":
            values["outs"], values["metrics"] = [*WRITES[name], METRICS], [METRICS]
        text += f"[stages.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    return text


def with_parameter(section: str, key: str, value: float) -> dict[str, str]:
    return {"params.yaml": json.dumps({**PARAMS, section: {**PARAMS[section], key: value}})}


START = {"params.yaml": json.dumps(PARAMS)}
AFTER_SPLIT = {"prepare", "featurize", "evaluate"}  # the model has as many weights as before, so it stays
AFTER_NGRAMS = {"featurize", "train", "evaluate"}
# What is changed; the files written (None: deleted); the stages that both run; those that dsvc says it restored.
STEPS: list[tuple[str, dict[str, str | None], set[str], set[str]]] = [
    ("first", {}, set(EVERY), set()),
    ("nothing", {}, set(), set()),
    ("prepare.split", {**with_parameter("prepare", "split", 0.5)}, set(EVERY), set()),
    ("prepare.split back", {**START}, set(), AFTER_SPLIT),
    ("featurize.ngrams", {**with_parameter("featurize", "ngrams", 2)}, AFTER_NGRAMS, set()),
    ("featurize.ngrams back", {**START}, set(), AFTER_NGRAMS),
    ("train.n_est", {**with_parameter("train", "n_est", 2)}, {"train", "evaluate"}, set()),
    ("train.n_est back", {**START}, set(), {"train", "evaluate"}),
    ("comment", {"featurize.py": FEATURIZE + "# a remark\n"}, {"featurize"}, set()),
    ("data", {"data/posts.csv": DATA + "60,good,word9 term9 item9\n"}, set(EVERY), set()),
    ("output deleted", {"model.json": None}, set(), {"train"}),
    ("metrics deleted", {METRICS: None}, set(), {"evaluate"}),
    ("nothing again", {}, set(), set()),
]


def change(folder: Path, files: dict[str, str | None]) -> None:
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def theirs_ran(dvc: str, folder: Path) -> set[str]:
    done = subprocess.run([dvc, "repro"], cwd=folder, check=True, capture_output=True, text=True)
    return {name for name in EVERY if f"Running stage '{name}'" in done.stdout}


def ours(cli: CommandLine) -> dict[str, str]:
    return {stage["name"]: stage["what"] for stage in cli.ok("repro", "--json").json["stages"]}


def outputs(folder: Path) -> dict[str, str]:
    found = {}
    for path in (METRICS, *(path for paths in WRITES.values() for path in paths)):
        files = sorted((folder / path).rglob("*")) if (folder / path).is_dir() else [folder / path]
        found |= {file.relative_to(folder).as_posix(): file.read_text() for file in files}
    return found


def test_four_stages_run_and_are_skipped_as_with_dvc(history, tmp_path):
    dvc = shutil.which("dvc", path=f"{Path(sys.prefix) / 'peers' / 'bin'}:{os.environ['PATH']}")
    if dvc is None:
        pytest.skip("dvc is neither installed by 'make peers' nor on PATH")
    start: dict[str, str | None] = {**START, "data/posts.csv": DATA}
    start |= {f"{name}.py": text for name, text in SCRIPTS.items()}
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for command in (["git", "init", "-q"], [dvc, "init", "-q"]):
        subprocess.run(command, cwd=theirs, check=True, capture_output=True)
    change(theirs, {**start, "dvc.yaml": their_pipeline()})
    history.commit("first", {**start, "dsvc.toml": our_pipeline()})
    mine = history.cli.directory
    for what, files, ran, restored in STEPS:
        for folder in (theirs, mine):
            change(folder, files)
        stages = ours(history.cli)
        assert theirs_ran(dvc, theirs) == ran, what
        assert {name for name, done in stages.items() if done == "ran"} == ran, what
        # Both take what was made before from their stores and run nothing. dsvc says so by a word of its own,
        # "restored"; DVC says that the stage is cached or did not change, in words that differ from case to case.
        assert {name for name, done in stages.items() if done == "restored"} == restored, what
        assert {name for name, done in stages.items() if done == "unchanged"} == set(EVERY) - ran - restored, what
        assert outputs(theirs) == outputs(mine), what
