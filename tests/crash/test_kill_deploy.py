"""Kill a deploy before each of its calls that change the disk: the same command completes it, and nothing is left over.

`KILL_STEP=1` tries every call.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from mortal import Project, apart

from tests.images.shop import Shop
from tests.servers.ports import free_port

STEP = int(os.environ.get("KILL_STEP", "0"))
STEPS = {"manifest": 17, "compose": 16, "systemd": 120}  # the last one writes each file of an image


def deployed(project: Project) -> dict[str, str]:
    """What is below `deploy`, by path; a link or a folder by its kind."""
    top = project.folder / "deploy"
    return {
        str(path.relative_to(top)): path.read_bytes().hex() if path.is_file() and not path.is_symlink() else "other"
        for path in top.rglob("*")
    }


def listed(project: Project) -> list[tuple[int, int]]:
    """Numbers and versions of all that was deployed."""
    found = json.loads(project.ok("deploy", "list", "churn", "--json"))["deployments"]
    return [(each["deployment"], each["number"]) for each in found]


@pytest.mark.parametrize("target", STEPS)
def test_the_same_command_completes_a_deploy(shop: Shop, tmp_path: Path, target: str):
    base = Project(shop.cli.directory, home=Path(shop.cli.environment["HOME"]))
    words = ("deploy", "churn", "--to", target, "--base", str(shop.base))
    base.ok(*words)
    shop.train("b")
    base.clock += 60
    # An absolute path stands in units: everything happens in the same place.
    shutil.move(base.folder, tmp_path / "base")
    kept = Project(tmp_path / "base", base.clock, base.home)
    done = kept.copy(base.folder)
    done.ok(*words)
    wanted = deployed(done), listed(done), json.loads(done.ok("deploy", "status", "churn", "--json"))
    assert wanted[1] == [(2, 2), (1, 1)]
    assert wanted[2]["state"] == "written"
    step = STEP or STEPS[target]
    number, kills = 1 + len(target) % step, 0
    while True:
        project = kept.copy(base.folder)
        _, killed = project.try_to_run(words, at_call=number)
        if not killed:
            break
        kills += 1
        where = f"dsvc deploy --to {target}, killed before call {number}"
        assert listed(project) in (wanted[1], [(1, 1)]), where
        project.ok(*words)
        now = deployed(project), listed(project), json.loads(project.ok("deploy", "status", "churn", "--json"))
        assert now == wanted, where
        number += step
    assert kills >= 2
    project.ok("fsck", "-q")


def killed_before(shop: Shop, words: tuple[str, ...], number: int) -> bool:
    """Run a command that is killed before its `number`-th request to the engine, if it makes that many."""

    def work() -> int:
        from requests import Session

        send, count = Session.send, [0]

        def counted(*arguments, **options):
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return send(*arguments, **options)

        Session.send = counted
        return shop.cli(*words).code

    result, _ = apart(work)
    assert result in (None, 0)
    return result is None


def test_containers_of_a_deploy_that_was_killed(shop: Shop, docker_host: str, python_base: Path):
    """`KILL_STEP=1` tries each request: between two calls there may be a container too few, or one not started."""
    shop.cli.environment["DOCKER_HOST"] = docker_host
    base = ("--base", str(python_base), "--env", "DSVC_SERVE_ALLOW_PICKLE=1")
    first = ("deploy", "churn@1", *base, "--name", "killed", "--replicas", "2", "--to", "docker")
    shop.cli.ok(*first, "--port", str(free_port(beside=1)))
    shop.train("b")
    second = ("deploy", "churn@2", *base, "--name", "killed", "--json")
    try:
        number = step = STEP or 9
        while killed_before(shop, second, number):
            done = shop.cli.ok(*second).json
            assert (done["number"], done["deployment"] % 2) == (2, 0)  # recorded once, by whichever of the two
            assert shop.cli.ok(*second).json["changed"] == []  # both run as they should
            if not STEP:
                break
            shop.cli.ok(*first)
            number += step
        else:
            assert number > step
    finally:
        removed = shop.cli.ok("deploy", "rm", "killed", "--json").json["removed"]
    assert removed == ["killed-1", "killed-2"]
