"""Diff and merge of notebooks beside nbdime: `python bench/notebooks.py` (needs nbdime; prints a Markdown table).

The notebooks are nbdime's own test files and one of 200 cells that two people edit. Each command runs in a process of
its own, start included, three times; the least time counts. Merges are judged by nbformat and by their conflicts.
"""

# ruff: noqa: PLC0415, S311, T201 -- a script that prints

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbdime
import nbformat

FILES = Path(nbdime.__file__).parent / "tests" / "files"
BIN = Path(sys.executable).parent


def cell(number: int, rng: random.Random) -> dict:
    lines = [f"value_{number}_{line} = compute({rng.random():.6f})\n" for line in range(8)]
    output = {"output_type": "stream", "name": "stdout", "text": [f"{rng.random()}\n"]}
    return {"cell_type": "code", "execution_count": number, "metadata": {}, "outputs": [output], "source": lines}


def large() -> tuple[dict, dict, dict]:
    rng = random.Random(5)
    base = {"cells": [cell(n, rng) for n in range(200)], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    sides = []
    for side in range(2):
        edited = copy.deepcopy(base)
        for number in range(side, 200, 10):  # one cell in ten: a line, its output, its counter
            one = edited["cells"][number]
            one["source"][3] = f"edited_{side} = {number}\n"
            one["outputs"][0]["text"] = [f"{number} {side}\n"]
        for one in edited["cells"]:
            one["execution_count"] += 7 * (side + 1)
        edited["cells"].insert(100 + side * 50, cell(1000 + side, rng))
        sides.append(edited)
    return base, sides[0], sides[1]


def timed(command: list[str], folder: Path, back: list[str] | None = None) -> float:
    """The least time of three; `back` is what dsvc is told between them."""
    times = []
    for number in range(3):
        if number and back:
            dsvc(folder, *back)
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        times.append(time.perf_counter() - start)
    return min(times)


def dsvc(folder: Path, *words: str) -> None:
    subprocess.run([BIN / "dsvc", *words], cwd=folder, check=True, capture_output=True)


def repository(folder: Path, names: tuple[Path, Path, Path]) -> None:
    dsvc(folder, "init", "-q")
    for branch, source in (("main", names[0]), ("theirs", names[2]), ("main", names[1])):
        if source is names[2]:
            dsvc(folder, "switch", "-q", "-c", branch)
        elif source is names[1]:
            dsvc(folder, "switch", "-q", branch)
        (folder / "n.ipynb").write_bytes(source.read_bytes())
        dsvc(folder, "commit", "-q", "-m", "a version", "--", "n.ipynb")


def conflicts(triple: tuple[Path, Path, Path]) -> tuple[int, int]:
    from nbdime.merging.notebooks import merge_notebooks

    from dsvc.contents import notebooks
    from dsvc.contents.driver import MergeLabels, Settings, Source

    base, ours, theirs = (Source.of(path.read_bytes()) for path in triple)
    merged = notebooks.merge(base, ours, theirs, MergeLabels(), Settings())
    nbformat.validate(nbformat.reads(b"".join(merged.content or ()).decode(), as_version=nbformat.NO_CONVERT))
    _, decisions = merge_notebooks(*(nbformat.reads(path.read_text(), as_version=4) for path in triple))
    return merged.conflicts, sum(decision.conflict for decision in decisions)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        paths = tuple(home / f"{side}.ipynb" for side in ("base", "ours", "theirs"))
        for path, raw in zip(paths, large(), strict=True):
            path.write_text(json.dumps(raw, indent=1) + "\n")
        small = tuple(FILES / f"multi_cell_nb{end}.ipynb" for end in ("", "--local", "--remote"))
        print("| notebook | dsvc diff | nbdiff | dsvc merge | nbmerge | conflicts dsvc / nbdime |")
        print("| --- | --- | --- | --- | --- | --- |")
        for title, triple in (("multi_cell_nb, 8 cells", small), ("made, 200 cells", paths)):
            folder = home / title.split(",")[0]
            folder.mkdir()
            repository(folder, triple)
            ours = timed([str(BIN / "dsvc"), "diff", "main~1", "main"], folder)
            theirs = timed([str(BIN / "nbdiff"), str(triple[0]), str(triple[1])], folder)
            merge = timed([str(BIN / "dsvc"), "merge", "-q", "theirs"], folder, ["reset", "-q", "--hard", "main@{1}"])
            by_nbdime = timed([str(BIN / "nbmerge"), *map(str, triple)], folder)
            times = " | ".join(f"{spent:.2f} s" for spent in (ours, theirs, merge, by_nbdime))
            counts = conflicts(triple)
            print(f"| {title} | {times} | {counts[0]} / {counts[1]} |")
        print()
        for stem in ("inline-conflict", "output-conflict", "source-conflict", "mixed-conflicts", "apap"):
            triple = (FILES / f"{stem}--1.ipynb", FILES / f"{stem}--2.ipynb", FILES / f"{stem}--3.ipynb")
            print(f"{stem}: conflicts {conflicts(triple)} (dsvc, nbdime), both valid")


if __name__ == "__main__":
    main()
