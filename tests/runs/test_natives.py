"""Files that libraries read in native code are found as inputs, with the real libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.frameworks import why_missing
from tests.runs.conftest import Project, files

# Of each library: what makes its files, and what reads them; each file is read in a way of its own.
MAKING = {
    "pyarrow": """
import pyarrow, pyarrow.csv, pyarrow.feather, pyarrow.orc, pyarrow.parquet
table = pyarrow.table({"a": [1, 2]})
for name in ("table", "file", "parts/0", "parts/1", "dataset", "pandas", "metadata"):
    pyarrow.parquet.write_table(table, f"pyarrow/{name}.parquet")
pyarrow.csv.write_csv(table, "pyarrow/t.csv")
pyarrow.feather.write_feather(table, "pyarrow/t.feather")
pyarrow.orc.write_table(table, "pyarrow/t.orc")
open("pyarrow/t.json", "w").write('{"a": 1}')
for name in ("mapped", "os", "stream"):
    with pyarrow.OSFile(f"pyarrow/{name}.arrow", "wb") as file:
        with pyarrow.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
""",
    "polars": """
import polars
frame = polars.DataFrame({"a": [1, 2]})
for name in ("eager", "lazy", "many-1", "many-2"):
    frame.write_parquet(f"polars/{name}.parquet")
for name in ("eager", "lazy"):
    frame.write_csv(f"polars/{name}.csv")
frame.write_ipc("polars/t.arrow")
frame.write_ndjson("polars/t.ndjson")
""",
    "safetensors": """
import numpy, safetensors.numpy
for name in ("load", "open"):
    safetensors.numpy.save_file({"a": numpy.zeros(2)}, f"safetensors/{name}.safetensors")
""",
    "h5py": """
import h5py
for name in ("read", "change"):
    with h5py.File(f"h5py/{name}.h5", "w") as file:
        file["a"] = [1, 2]
""",
    "cv2": """
import cv2, numpy
picture = numpy.zeros((16, 16, 3), "uint8")
cv2.imwrite("cv2/picture.png", picture)
video = cv2.VideoWriter("cv2/video.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (16, 16))
video.write(picture)
video.release()
""",
    "xgboost": """
import numpy, xgboost
xgboost.train({}, xgboost.DMatrix(numpy.eye(4), label=[0, 1, 0, 1]), 1).save_model("xgboost/model.ubj")
""",
    "torch": """
import torch
torch.save({"a": torch.zeros(2)}, "torch/load.pt")
torch.save({"a": torch.zeros(2)}, "torch/mapped.pt")
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), "torch/script.pt")
open("torch/raw.bin", "wb").write(bytes(64))
""",
}
READING = {
    "pyarrow": """
import pyarrow, pyarrow.csv, pyarrow.dataset, pyarrow.feather, pyarrow.json, pyarrow.orc, pyarrow.parquet
pyarrow.parquet.read_table("pyarrow/table.parquet")
pyarrow.parquet.ParquetFile("pyarrow/file.parquet").read()
pyarrow.parquet.read_metadata("pyarrow/metadata.parquet")
assert pyarrow.parquet.read_table("pyarrow/parts").num_rows == 4
pyarrow.dataset.dataset("pyarrow/dataset.parquet").to_table()
pyarrow.csv.read_csv("pyarrow/t.csv")
pyarrow.feather.read_table("pyarrow/t.feather")
pyarrow.orc.read_table("pyarrow/t.orc")
pyarrow.json.read_json("pyarrow/t.json")
pyarrow.ipc.open_file(pyarrow.memory_map("pyarrow/mapped.arrow")).read_all()
with pyarrow.OSFile("pyarrow/os.arrow") as file:
    assert isinstance(file, pyarrow.OSFile) and isinstance(file, pyarrow.NativeFile)
pyarrow.input_stream("pyarrow/stream.arrow").read()
import pandas
pandas.read_parquet("pyarrow/pandas.parquet")
""",
    "polars": """
import pathlib, polars
polars.read_parquet("polars/eager.parquet")
polars.scan_parquet(pathlib.Path("polars/lazy.parquet")).collect()
assert polars.read_parquet("polars/many-*.parquet").height == 4
polars.read_csv(source="polars/eager.csv")
polars.scan_csv("polars/lazy.csv").collect()
polars.read_ipc("polars/t.arrow")
polars.read_ndjson("polars/t.ndjson")
""",
    "safetensors": """
import safetensors.numpy
safetensors.numpy.load_file("safetensors/load.safetensors")
with safetensors.safe_open("safetensors/open.safetensors", "np") as file:
    assert list(file.keys()) == ["a"]
""",
    "h5py": """
import h5py
h5py.File("h5py/read.h5")["a"][:]
with h5py.File("h5py/change.h5", "a") as file:
    assert isinstance(file, h5py.File)
""",
    "cv2": """
import cv2
assert cv2.imread("cv2/picture.png").shape == (16, 16, 3)
assert cv2.VideoCapture("cv2/video.avi").read()[0]
""",
    "xgboost": """
import xgboost
xgboost.Booster(model_file="xgboost/model.ubj")
""",
    "torch": """
import torch
torch.load("torch/load.pt")
torch.load("torch/mapped.pt", mmap=True)
torch.jit.load("torch/script.pt")
torch.from_file("torch/raw.bin", size=4)
""",
}
AFTERWARDS = """
import sys
unasked = {name for name in ("torch", "polars", "h5py", "cv2", "duckdb") if name in sys.modules} - set(sys.argv[1:])
assert not unasked, unasked
"""


def test_each_library(project: Project, subtests):
    installed = [name for name in READING if not why_missing(name)]
    for name in installed:
        (project.folder / name / "parts").mkdir(parents=True)
    making = "".join(MAKING[name] for name in installed)
    subprocess.run([sys.executable, "-W", "ignore", "-c", making], cwd=project.folder, check=True)
    made = [path for path in project.folder.glob("*/**/*") if path.is_file() and ".dsvc" not in path.parts]
    reading = "".join(READING[name] for name in installed) + AFTERWARDS
    run = project.run("--", sys.executable, "-W", "ignore", "-c", reading, *installed)
    found = files(run["inputs"])
    for name in READING:
        with subtests.test(name):
            if name not in installed:
                pytest.skip(why_missing(name))
            expected = {str(path.relative_to(project.folder)) for path in made if path.parts[-2] in (name, "parts")}
            expected = {path for path in expected if path.startswith(name)}
            assert expected
            assert {path: found.get(path) for path in expected} == dict.fromkeys(expected, "pinned")
    assert set(run["observation"]["libraries"]) == set(installed)
    assert f"or read by {', '.join(sorted(installed))}" in project.ok("runs", "show")


def test_what_they_write_is_no_input(project: Project):
    project.write(".dsvcignore", "hidden/\n")
    (project.folder / "hidden").mkdir()
    run = project.run(
        "--",
        sys.executable,
        "-c",
        "import polars; polars.DataFrame({'a': [1]}).write_parquet('hidden/t'); polars.read_parquet('hidden/t')",
    )
    assert files(run["inputs"]) == {}
    assert files(run["outputs"]) == {"hidden/t": "pinned"}


def test_libraries_that_are_not_watched_are_named(project: Project):
    run = project.run("--", sys.executable, "-c", "import duckdb; duckdb.sql(\"from 'data.csv'\").fetchall()")
    assert run["observation"]["unseen_libraries"] == ["duckdb"]
    assert "not what duckdb read" in project.ok("runs", "show")


def test_a_library_that_was_imported_before_the_run_began(project: Project):
    lines = (
        "import importlib, sys, polars, dsvc",
        "with dsvc.start_run('late'): polars.read_csv('data.csv', has_header=False)",
        "with dsvc.start_run('again'): polars.read_csv('data.csv', has_header=False)",
        "assert importlib.util.find_spec('h5py') is None or 'h5py' not in sys.modules",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=project.folder, env=project.environment, check=True)
    for one in project.runs("-n", "2"):
        shown = project.shown(one["run"])
        assert files(shown["inputs"]) == {"data.csv": "pinned"}
        assert shown["observation"]["libraries"] == ["polars"]


def test_every_library_that_is_waited_for_is_known():
    from dsvc.runs.hook import dsvc_natives, dsvc_observer

    known = dsvc_natives.Natives(lambda *_: None, lambda *_: None, None)
    assert set(known._ways) <= dsvc_observer._NATIVE
    assert {name.partition(".")[0] for name in known._ways} <= dsvc_observer._NATIVE
    assert Path(dsvc_natives.__file__).parent == Path(dsvc_observer.__file__).parent
