"""An image whose base is a real Python: its program is started on its files alone, and answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from dsvc.images.blobs import Blobs
from dsvc.images.image import architecture_of
from dsvc.images.layout import read_layout
from dsvc.images.unpack import unpack
from tests.images.shop import Shop
from tests.servers.ports import free_port

CHROOT = shutil.which("chroot", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.mark.skipif(os.geteuid() != 0 or CHROOT is None, reason="needs chroot and root")
def test_the_program_of_the_image_serves_the_model(shop: Shop, python_base: Path, tmp_path: Path):
    shop.cli.ok("build", "churn", "--base", str(python_base), "--output", "out", "-t", "x:1")
    blobs = Blobs(tmp_path / "blobs")
    image = read_layout(shop.cli.directory / "out", blobs, architecture_of(os.uname().machine))
    assert unpack(image, blobs, tmp_path / "root")
    settings = image.settings["config"]
    port = free_port()
    variables = dict(each.split("=", 1) for each in settings["Env"])
    variables |= {"DSVC_SERVE_PORT": str(port), "DSVC_SERVE_ALLOW_PICKLE": "1"}
    command = [CHROOT, f"--userspec={settings['User']}", str(tmp_path / "root")]
    words = [*command, *settings["Entrypoint"], *settings["Cmd"]]
    process = subprocess.Popen(words, env=variables, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "serving churn 1 on" in line, line + process.stderr.read()
        body = json.dumps({"instances": [{"x": 4}]}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models/model:predict", body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer) == {"predictions": [8.0]}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/provenance", timeout=10) as answer:
            told = json.load(answer)
        assert told["run"] == image.annotations["io.dsvc.run"]
    finally:
        process.terminate()
        assert process.wait(20) == 0
