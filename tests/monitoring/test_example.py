"""The example goes on: from its model to an image, manifests, a container, predictions, drift and an alert."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.commands.conftest import CommandLine
from tests.servers.ports import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "wine"
MISSING = [name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def needed(name: str) -> set[str]:
    """A distribution and all that it needs."""
    found, left = set(), [name]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            wants = map(Requirement, distribution(one).requires or ())
            left += [each.name for each in wants if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def small_environment(folder: Path) -> Path:
    """A virtual environment with scikit-learn, of the files of the one that runs the tests."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in sorted(needed("scikit-learn")):
        one = distribution(name)
        for file in one.files or ():
            source = Path(one.locate_file(file))
            if ".." in file.parts or file.suffix == ".pyc" or not source.exists():
                continue
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, site / file)
            except OSError:  # another disk
                shutil.copy2(source, site / file)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> CommandLine:
    """The example as far as its model."""
    base = tmp_path_factory.mktemp("wines")
    python = small_environment(base / "venv") / "bin" / "python"
    environment = {
        "PATH": f"{python.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(base), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1",
        "DSVC_USER_NAME": "Ada Keller", "DSVC_USER_EMAIL": "ada@example.com",
    }  # fmt: skip
    (base / "project" / "raw").mkdir(parents=True)
    cli = CommandLine(base / "project", environment)
    cli.ok("init", "-q")
    for path in EXAMPLE.glob("*.py"):
        shutil.copy(path, cli.directory)
    table = next(each for each in distribution("scikit-learn").files or () if each.name == "wine_data.csv")
    shutil.copy(table.locate(), cli.directory / "raw" / "wine.csv")
    for words in (("prepare.py",), ("features.py", "--colour"), ("train.py",)):
        cli.ok("run", "-q", "--", str(python), *words)
    cli.ok("commit", "-q", "-m", "A model of the colour")
    return cli


@pytest.mark.slow
def test_from_a_model_to_an_alert(trained, docker_host, python_base):
    ports = free_port(), free_port()
    environment = {
        **trained.environment, "DOCKER_HOST": docker_host, "PORT": str(ports[0]), "PROMETHEUS": str(ports[1]),
    }  # fmt: skip
    done = subprocess.run(
        ["bash", EXAMPLE / "deploy.sh", trained.directory, python_base],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert (trained.directory / "deploy" / "wine" / "deployment.yaml").is_file()
    assert "wine-docker 1: wine@1 is deployed, image sha256:" in said
    assert len(re.findall(r"^✓ \w+: ", said, re.MULTILINE)) == 7  # from the address to the data
    calm, summer = re.findall(r"^wine +1 +wine-docker .*$", said, re.MULTILINE)
    assert "psi" not in calm
    assert summer.endswith("psi < 0.2")
    assert "firing       DsvcDrift: input x0 of wine-docker is not what the model was trained on" in said
    assert said.endswith("exit code 1\n")
    for port in ports:  # the container and Prometheus have ended
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
