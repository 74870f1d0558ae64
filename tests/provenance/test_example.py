"""The example of a project with data, a model and two branches runs, and proves where its model comes from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "wine"


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path):
    pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra dev")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(
        ["bash", EXAMPLE / "wine.sh", tmp_path / "wine"],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.sub(r"\b[0-9a-f]{10}\b", "<id>", done.stdout)
    assert "scores.json <id>  on colour, main  commit <id> With the colour\n" in said
    assert re.search(r"├─✓ model.pkl <id>\n +│  └─✓ run <id> python train.py", said)
    assert re.search(r"✓ raw/wine.csv +<id> .* commit <id> Raw data and four", said)
    assert "✓ 4 runs and 16 files" in said
    assert re.findall(r"repeated in the present environment: (\w+)", said) == ["identical", "identical"]
    assert said.count("model.pkl <id>  on colour, main\n") == 2
    assert "</svg>" in (tmp_path / "wine" / "lineage.html").read_text()
