"""The record of a folder that is served, as it was written from the first version on."""

from __future__ import annotations

from dsvc.actions.model_folder import write_model_folder
from dsvc.monitoring.profile import parse_profile, profile_fields
from dsvc.serving.record import read_model
from dsvc.tracking.opening import open_workspace
from tests.commands.conftest import cli

__all__ = ["cli"]

# Of a version without a run: everything in it follows from the files, the date and the user.
GOLDEN = """{
 "commit": null,
 "content": "8e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99",
 "datasets": [],
 "datasets_count": 0,
 "environment": null,
 "facts": {},
 "files": [
  {
   "blake3": "8e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99",
   "path": "model.onnx",
   "size": 6
  }
 ],
 "framework": "onnx",
 "framework_version": "",
 "made": "2026-01-31T12:00:00+01:00",
 "metrics": {
  "acc": 0.5
 },
 "name": "churn",
 "params": {},
 "profile": {
  "columns": [
   {
    "count": 3,
    "counts": [
     1,
     1,
     1,
     0
    ],
    "edges": [
     1.0,
     2.0,
     3.0
    ],
    "kind": "number",
    "max": 3.0,
    "mean": 2.0,
    "min": 1.0,
    "missing": 0,
    "name": "a",
    "std": 0.816496580927726,
    "type": "integer"
   },
   {
    "count": 2,
    "kind": "category",
    "missing": 1,
    "name": "b",
    "other": 0,
    "type": "string",
    "values": [
     [
      "x",
      1
     ],
     [
      "y",
      1
     ]
    ]
   }
  ],
  "profile_version": 1,
  "rows": 3
 },
 "run": null,
 "run_id": null,
 "schema": "dsvc.served-model",
 "schema_version": 1,
 "signature": null,
 "trusted": null,
 "user": "Ada Example <ada@example.com>",
 "version": 1,
 "version_id": "1a0a002e7424524837f4f90141643e0795f797652f0d26478688b84943fbabb5"
}
"""


def test_the_record_of_a_plain_file(cli, tmp_path):
    cli.ok("init", "-q")
    (cli.directory / "model.onnx").write_text("hello\n")
    (cli.directory / "t.csv").write_text("a,b\n1,x\n2,y\n3,\n")
    cli.ok("model", "add", "churn", "model.onnx", "--metric", "acc=0.5", "--profile", "t.csv")
    workspace = open_workspace(cli.directory, cli.environment, ("test",))
    try:
        folder = write_model_folder(workspace, "churn", tmp_path / "out")
    finally:
        workspace.close()
    text = (tmp_path / "out" / "dsvc-model.json").read_text()
    assert text == GOLDEN
    served = read_model(tmp_path / "out")
    assert (served.name, served.version, served.files, served.framework) == ("churn", "1", ("model.onnx",), "onnx")
    assert profile_fields(parse_profile(served.fields["profile"])) == served.fields["profile"]
    assert (folder.files, folder.size) == (1, 6)
