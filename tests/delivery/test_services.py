"""Pipelines for other services: their form, and their shell lines run for real."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dsvc.delivery.services import Service, Wanted, service_files
from tests.commands.conftest import CommandLine

FILES = {"github": ".github/workflows/dsvc.yml", "gitlab": ".gitlab-ci.yml", "circleci": ".circleci/config.yml"}


def scripts(service: str, document: dict[str, Any]) -> dict[str, str]:
    """The shell lines of the two jobs, without those that install dsvc."""
    if service == "gitlab":
        return {name: "\n".join(document[name]["script"]) for name in ("check", "deliver")}
    jobs = {name: document["jobs"][name]["steps"] for name in ("check", "deliver")}
    if service == "github":
        return {name: steps[-1]["run"] for name, steps in jobs.items()}
    runs = {name: [step["run"] for step in steps if "run" in step] for name, steps in jobs.items()}
    return {name: steps[-1]["command"] for name, steps in runs.items()}


@pytest.fixture
def checkout(project: CommandLine) -> CommandLine:
    """A project that git keeps too, all but its data, and that was pushed to a remote of dsvc."""
    root = project.directory
    project.ok("remote", "add", "origin", "../remote")
    project.ok("push", "-q", "origin", "main")
    project.ok("push", "-q", "--all", "--runs", "origin")
    git = {**project.environment, "GIT_CONFIG_GLOBAL": os.devnull}
    (root / ".gitignore").write_text(".dsvc\nrows.csv\nmodel\nmetrics.json\n")
    for words in (
        ["init", "-q", "-b", "better"], ["add", "-A"],
        ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-q", "-m", "code"],
    ):  # fmt: skip
        subprocess.run(["git", *words], cwd=root, env=git, check=True)
    return project


def shell(project: CommandLine, script: str, place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run lines as a service does: in a checkout that git made, with nothing but git's files."""
    subprocess.run(["git", "clone", "-q", project.directory, place], check=True)
    path = f"{Path(sys.executable).parent}:{project.environment['PATH']}"
    remote = str(project.directory.parent / "remote")
    environment = {**project.environment, "PATH": path, "DSVC_REMOTE": remote, "TMPDIR": str(place.parent), **variables}
    words = ["bash", "-c", script]
    return subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("service", FILES)
def test_what_is_written_runs(checkout: CommandLine, tmp_path: Path, service: str):
    gate = "metrics.acc >= base.metrics.acc - 0.01"
    checkout.ok("ci", "init", service, "--gate", gate, "--gate", "metrics.acc < 0.95", "--deploy", "echo deployed")
    document = yaml.load((checkout.directory / FILES[service]).read_text(), Loader=yaml.BaseLoader)
    found = scripts(service, document)
    summary = tmp_path / "summary.md"
    branch = {"GITHUB_REF_NAME": "better", "CI_COMMIT_REF_NAME": "better", "CIRCLE_BRANCH": "better"}
    variables = {**branch, "PR": "", "GITHUB_STEP_SUMMARY": str(summary), "CI_API_V4_URL": "", "CI_PROJECT_ID": ""}
    done = shell(checkout, found["check"], tmp_path / "one", **variables)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "one/report.md").read_text()
    assert "| `acc` | 0.8 | 0.9 |" in page
    assert f"| ✅ holds | `{gate}` |" in page
    assert service != "github" or summary.read_text() == page

    # The code is changed in git alone: what is out of date is made anew there, and a gate fails.
    (checkout.directory / "params.toml").write_text("rate = 0.99\n")
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qam", "more"],
                   cwd=checkout.directory, check=True)  # fmt: skip
    failed = shell(checkout, found["check"], tmp_path / "two", **variables)
    assert failed.returncode == 1, failed.stderr
    assert "| ❌ fails | `metrics.acc < 0.95` | metrics.acc = 0.99 |" in (tmp_path / "two/report.md").read_text()
    checkout.ok("fetch", "-q")
    assert "0.99" in checkout.ok("cat", "origin/ci/better:model").out

    delivered = shell(checkout, found["deliver"], tmp_path / "three", **variables)
    assert (delivered.returncode, "deployed" in delivered.stdout) == (0, True), delivered.stderr


SCHEMAS = {"github": "github-workflows", "gitlab": "gitlab-ci", "circleci": "circle-ci"}


@pytest.mark.parametrize("service", SCHEMAS)
def test_what_is_written_keeps_to_the_published_schema(service: Service):
    """The schemas of SchemaStore and GitLab, as check-jsonschema has them; each refuses what is none of its form."""
    schemas = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / f"{SCHEMAS[service]}.json").read_text("utf-8"))
    check = jsonschema.validators.validator_for(schema)(schema)
    more = Wanted(["metrics.acc >= 0.5"], ["dsvc deploy churn@prod --wait", "echo done"], "trunk", extras=["s3"])
    for wanted in (Wanted(), more):
        document = yaml.safe_load(service_files(service, wanted)[FILES[service]])
        if True in document:  # 'on' is a truth to YAML 1.1, and a text to the service
            document["on"] = document.pop(True)
        assert [error.message for error in check.iter_errors(document)] == []
    bad = copy.deepcopy(document)
    job = bad["check"] if service == "gitlab" else bad["jobs"]["check"]
    job["script" if service == "gitlab" else "steps"] = {"speed": 3}
    assert not check.is_valid(bad)


def test_files_of_the_user_stay(project: CommandLine):
    path = project.directory / FILES["gitlab"]
    path.write_text("mine: true\n")
    answer = project("ci", "init", "gitlab")
    assert (answer.code, path.read_text()) == (3, "mine: true\n")
    assert "--force" in answer.err
    project.ok("ci", "init", "gitlab", "--force")
    assert "is so already" in project.ok("ci", "init", "gitlab").err
    assert project("ci", "init", "github", "--gate", "nonsense").code == 2
    assert not (project.directory / FILES["github"]).exists()


def test_what_has_to_be_installed(project: CommandLine):
    project.ok("ci", "init", "github", "--extra", "s3", "--python", "3.13", "--branch", "trunk")
    document = yaml.load((project.directory / FILES["github"]).read_text(), Loader=yaml.BaseLoader)
    steps = document["jobs"]["check"]["steps"]
    assert steps[1]["with"]["python-version"] == "3.13"
    assert '"${DSVC_PACKAGE:-dsvc[s3]}"' in steps[2]["run"]
    assert document["on"]["push"]["branches"] == ["trunk"]
