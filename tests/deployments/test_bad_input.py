"""What stops a deploy leaves nothing half done: no record, no files, and a sentence that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.actions.build import BuildOptions
from dsvc.actions.deploy import DeployOptions, deploy
from dsvc.refs.moved import RefMovedError
from dsvc.tracking.opening import open_workspace
from tests.images.shop import Shop
from tests.servers.ports import free_port


def nothing_is_there(shop: Shop) -> bool:
    folder = shop.cli.directory / "deploy"
    return not folder.exists() and shop.cli.ok("deploy", "list", "--json").json["deployments"] == []


def test_a_registry_that_refuses(shop: Shop, locked_registry):
    words = ("deploy", "churn", "--to", "manifest", "--base", str(shop.base), "--registry")
    answer = shop.cli(*words, f"{locked_registry.host}/team")
    assert (answer.code, "docker login" in answer.err) == (14, True)
    assert nothing_is_there(shop)


def test_a_registry_that_is_not_there(shop: Shop):
    words = ("deploy", "churn", "--to", "manifest", "--base", str(shop.base), "--registry")
    answer = shop.cli(*words, f"127.0.0.1:{free_port()}/team")
    assert (answer.code, "cannot be reached" in answer.err) == (14, True)
    assert nothing_is_there(shop)


def test_two_deploys_at_once(shop: Shop):
    """The second of them is refused before it did anything, and so are the other commands that change a deployment."""
    words = ("deploy", "churn", "--to", "manifest", "--base", str(shop.base))
    shop.cli.ok(*words)
    workspace = open_workspace(shop.cli.directory, shop.cli.environment, ("test",))
    refused = []

    def meanwhile(_line: str) -> None:
        if not refused:
            refused.append(shop.cli(*words, "--replicas", "2"))
            refused.append(shop.cli("deploy", "rm", "churn"))
            refused.append(shop.cli("deploy", "rollback", "churn", "--base", str(shop.base)))
            shop.cli.ok(*words, "--name", "other")

    options = DeployOptions(BuildOptions(shop.cli.directory, base=str(shop.base)), target="manifest", replicas=3)
    done = deploy(workspace, "churn", options, tell=meanwhile)
    assert (done.outcome, done.deployment.number) == ("changed", 2)
    assert [each.code for each in refused] == [11, 11, 11]
    assert all("another command is changing the deployment churn" in each.err for each in refused)
    assert shop.cli.ok(*words, "--replicas", "2", "--json").json["deployment"] == 3
    assert shop.cli.ok("deploy", "status", "churn", "--json").json["state"] == "written"


def test_a_deploy_whose_record_moves_meanwhile(shop: Shop):
    """An undo asks no place; whoever deploys then is told how to see what runs."""
    words = ("deploy", "churn", "--to", "manifest", "--base", str(shop.base))
    shop.cli.ok(*words)
    workspace = open_workspace(shop.cli.directory, shop.cli.environment, ("test",))
    others = []

    def meanwhile(_line: str) -> None:
        if not others:
            others.append(shop.cli.ok("undo"))

    options = DeployOptions(BuildOptions(shop.cli.directory, base=str(shop.base)), target="manifest", replicas=3)
    with pytest.raises(RefMovedError) as raised:
        deploy(workspace, "churn", options, tell=meanwhile)
    assert "dsvc deploy status churn" in (raised.value.hint or "")
    assert shop.cli.ok(*words, "--replicas", "3", "--json").json["deployment"] == 1
    assert shop.cli.ok("deploy", "status", "churn", "--json").json["state"] == "written"


def model_layer(shop: Shop) -> Path:
    document = shop.cli.ok("build", "churn", "--base", str(shop.base), "--json").json
    (layer,) = (each for each in document["layers"] if each["what"] == "model")
    return shop.cli.directory / ".dsvc/cache/images/blobs/sha256" / layer["digest"].partition(":")[2]


def test_a_layer_in_the_cache_that_was_damaged(shop: Shop):
    """It is noticed before anything of it runs; the next build makes it anew."""
    path = model_layer(shop)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data.replace(b"left_pad", b"left_bad"))
    answer = shop.cli("deploy", "churn", "--to", "systemd", "--base", str(shop.base))
    assert (answer.code, "damaged" in answer.err or "sha256" in answer.err) == (15, True), answer.err
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"] == []
    assert not list((shop.cli.directory / "deploy" / "churn").glob("root-*"))
    assert "rm -r " in answer.err
    shop.forget()
    shop.cli.ok("deploy", "churn", "--to", "systemd", "--base", str(shop.base))
