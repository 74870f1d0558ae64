"""Deployments as files: what Kubernetes, Compose and systemd say of them, and what a rerun does."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
import yaml

from dsvc.images.layers import text_member
from tests.commands.conftest import CommandLine
from tests.images.bases import tiny_members, write_base
from tests.images.shop import Shop

SETTINGS = ("--replicas", "2-5", "--cpu", "500m", "--memory", "1Gi", "--gpu", "1", "--host", "churn.example.com",
            "--env", "MODE=fast", "--env", "API_KEY", "--namespace", "shop")  # fmt: skip


def deploy(shop: Shop, *words: str) -> dict:
    return shop.cli.ok("deploy", "churn", "--base", str(shop.base), "--json", *words).json


def documents(folder: Path) -> dict[str, dict]:
    """The documents of a folder by their kinds."""
    found = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    return {each["kind"]: each for each in found}


@pytest.fixture
def folder(shop: Shop) -> Path:
    return shop.cli.directory / "deploy" / "churn"


def test_manifests_are_what_the_schemas_of_kubernetes_want(shop, folder):
    validate = pytest.importorskip("kubernetes_validate")
    deploy(shop, "--to", "manifest", *SETTINGS)
    found = documents(folder)
    assert set(found) == {"Deployment", "Service", "ServiceAccount", "Ingress", "HorizontalPodAutoscaler",
                          "NetworkPolicy", "PodDisruptionBudget", "Kustomization"}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind, document in found.items():
            if kind != "Kustomization":
                validate.validate(document, validate.latest_version(), strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kustomize_takes_the_folder(shop, folder):
    deploy(shop, "--to", "manifest", *SETTINGS)
    assert len(kustomized(folder)) == 7
    assert {each["kind"] for each in kustomized(folder / "monitoring")} == {
        "ServiceMonitor", "PrometheusRule", "ConfigMap"
    }  # fmt: skip
    both = folder.parent / "kustomization.yaml"
    both.write_text("bases: [churn, churn/monitoring]\n")  # the only name for folders that kubectl 1.20 knows
    assert len(kustomized(folder.parent)) == 10


def kustomized(folder: Path) -> list[dict]:
    """What kubectl makes of a folder."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def test_what_watches_it_lies_beside_it(shop, folder):
    """Objects of the operator, with names that the rules ask for, and the dashboard that Grafana's sidecar finds."""
    validate = pytest.importorskip("kubernetes_validate")
    deploy(shop, "--to", "manifest", *SETTINGS)
    found = documents(folder / "monitoring")
    assert set(found) == {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap", "Kustomization"}
    service = documents(folder)["Service"]
    pods = documents(folder)["Deployment"]["spec"]["template"]
    for kind, field, labels in (
        ("ServiceMonitor", "endpoints", service["metadata"]["labels"]),
        ("PodMonitor", "podMetricsEndpoints", pods["metadata"]["labels"]),
    ):
        spec = found[kind]["spec"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        (endpoint,) = spec[field]
        assert endpoint["port"] in {each["name"] for each in service["spec"]["ports"]}
        assert endpoint["port"] in {each["name"] for each in pods["spec"]["containers"][0]["ports"]}
        (job,) = endpoint["relabelings"]
        assert f'up{{job="{job["replacement"]}"}}' in str(found["PrometheusRule"]["spec"])
    validate.validate(found["ConfigMap"], validate.latest_version(), strict=True)
    assert json.loads(found["ConfigMap"]["data"]["churn.json"])["title"] == "Model churn"
    assert found["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    shop.cli.ok("deploy", "rm", "churn")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["DSVC_SERVE_TOKEN", "DSVC_SERVE_METRICS_TOKEN"])
def test_prometheus_gets_the_token_that_the_server_has(shop, folder, name):
    deploy(shop, "--to", "manifest", "--env", name)
    (reference,) = (
        each["valueFrom"]["secretKeyRef"]
        for each in documents(folder)["Deployment"]["spec"]["template"]["spec"]["containers"][0]["env"]
        if each["name"] == name
    )
    (endpoint,) = documents(folder / "monitoring")["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": reference}
    shop.cli.ok("deploy", "rm", "churn")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_takes_the_rules(shop, folder, tmp_path):
    deploy(shop, "--to", "manifest")
    spec = documents(folder / "monitoring")["PrometheusRule"]["spec"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))
    words = ["promtool", "check", "rules", tmp_path / "rules.yml"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr


def test_pods_run_without_root_and_know_where_they_come_from(shop, folder):
    done = deploy(shop, "--to", "manifest", *SETTINGS)
    pod = documents(folder)["Deployment"]["spec"]["template"]
    (server,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert server["securityContext"]["readOnlyRootFilesystem"]
    assert server["image"] == done["image"]
    assert pod["metadata"]["annotations"]["dsvc.io/commit"] == shop.cli.ok("rev-parse", "HEAD").out.strip()
    assert pod["metadata"]["annotations"]["dsvc.io/image-digest"] == done["digest"]
    variables = {each["name"]: each for each in server["env"]}
    assert variables["MODE"]["value"] == "fast"
    assert variables["API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "churn-env", "key": "API_KEY"}
    assert server["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": "1"}


def test_an_image_at_a_registry_is_named_by_its_digest(shop, folder, oci_registry):
    done = deploy(shop, "--to", "manifest", "--registry", f"{oci_registry.host}/team")
    assert done["image"] == f"{oci_registry.host}/team/churn@{done['digest']}"
    assert documents(folder)["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] == done["image"]
    again = deploy(shop)  # the registry is remembered
    assert (again["outcome"], again["image"]) == ("same", done["image"])


def test_kserve(shop):
    done = deploy(shop, "--to", "kserve", "--dry-run", "--replicas", "1-3")
    document = yaml.safe_load(done["files"]["inferenceservice.yaml"])
    predictor = document["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 3)
    assert predictor["containers"][0]["image"] == done["image"]


# What KServe 0.21 adds to the fields of a pod, by its published models (V1beta1ComponentExtensionSpec).
KSERVE = {"annotations", "autoScaling", "batcher", "canaryTrafficPercent", "containerConcurrency", "deploymentStrategy",
          "labels", "logger", "maxReplicas", "minReplicas", "scaleMetric", "scaleMetricType", "scaleTarget",
          "timeout"}  # fmt: skip


def test_an_inference_service_is_a_pod_and_what_kserve_adds(shop):
    """The rest of its predictor is a pod by the schema of Kubernetes, which the definition of the resource repeats."""
    validate = pytest.importorskip("kubernetes_validate")
    done = deploy(shop, "--to", "kserve", "--dry-run", *SETTINGS)
    document = yaml.safe_load(done["files"]["inferenceservice.yaml"])
    assert (document["apiVersion"], document["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert set(document["spec"]) == {"predictor"}
    predictor = document["spec"]["predictor"]
    added = {name: predictor.pop(name) for name in KSERVE & set(predictor)}
    assert added == {"minReplicas": 2, "maxReplicas": 5}
    assert predictor["containers"][0]["name"] == "kserve-container"  # as KServe finds a container of one's own
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": document["metadata"], "spec": predictor}
    validate.validate(pod, validate.latest_version(), strict=True)


def test_compose_with_the_image_beside_it(shop, folder):
    done = deploy(shop, "--to", "compose", "--replicas", "2", "--cpu", "500m", "--memory", "256Mi", "--port", "9000",
                  "--env", "MODE=a b", "--env", "API_KEY")  # fmt: skip
    service = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["churn"]
    assert service["ports"] == ["127.0.0.1:9000-9001:8080"]
    assert service["deploy"]["resources"]["limits"] == {"cpus": "0.5", "memory": str(256 << 20)}
    assert service["environment"]["MODE"] == "a b"
    assert service["env_file"][0]["path"] == "churn.env"
    assert done["next"].startswith("docker load -i ")
    assert (folder / "image.tar").exists()
    assert deploy(shop)["changed"] == []


def test_a_unit_of_systemd_with_the_files_of_the_image(shop, folder):
    words = ("--memory", "256Mi", "--cpu", "1.5", "--env", 'MODE=a "b" 100%')
    deploy(shop, "--to", "systemd", *words)
    (root,) = folder.glob("root-*")
    assert (root / "model" / "dsvc-model.json").exists()
    text = (folder / "dsvc-churn.service").read_text()
    assert f"RootDirectory={root}" in text
    assert 'Environment="MODE=a \\"b\\" 100%%"' in text
    assert "CPUQuota=150%" in text
    assert "must be 1" in shop.cli("deploy", "churn", "--base", str(shop.base), "--replicas", "2").err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_reads_the_unit(shop, folder):
    deploy(shop, "--to", "systemd", "--cpu", "1", "--env", "MODE=a b")
    unit = folder / "dsvc-churn.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "dsvc-churn.service" in line]
    # It looks for the program in the root of this machine, not in the one of the service.
    assert [line for line in ours if "is not executable" not in line] == []


def test_manifests_in_a_folder_of_choice(shop):
    base = ("--base", str(shop.base))
    done = shop.cli.ok("deploy", "churn", "--to", "k8s", "--manifest", "ops/churn", *base, "--json").json
    assert (done["target"], done["place"]) == ("manifest", "ops/churn")
    assert (shop.cli.directory / "ops" / "churn" / "kustomization.yaml").exists()
    assert shop.cli("deploy", "churn", "--to", "docker", "--manifest", "ops", *base).code == 2


def test_the_name_of_a_deployment_is_not_that_of_a_model(shop, folder):
    deploy(shop, "--to", "manifest", "--name", "live")
    answer = shop.cli("deploy", "live", "--base", str(shop.base))
    assert (answer.code, answer.err.splitlines()[-1]) == (
        3, "hint: live is a deployment: dsvc deploy churn --name live")  # fmt: skip


def test_what_was_never_served_has_no_feedback(shop, folder):
    deploy(shop, "--to", "manifest", "--name", "live")
    assert "nothing new is finished" in shop.cli.ok("monitor", "collect", "churn").err
    answer = shop.cli("monitor", "collect", "chrun")
    assert (answer.code, answer.err) == (3, "dsvc: there is no model chrun\nhint: dsvc model list shows them\n")
    answer = shop.cli("monitor", "collect", "live")
    assert answer.err.endswith("hint: live is a deployment: dsvc monitor collect churn\n")


@pytest.mark.parametrize("target", ["compose", "systemd"])
def test_neither_images_nor_secrets_are_committed(shop, folder, target):
    deploy(shop, "--to", target, "--env", "API_KEY")
    (folder / "churn.env").write_text("API_KEY=open sesame\n")
    shop.cli.ok("commit", "-m", "Deployed")
    name = {"compose": "compose.yaml", "systemd": "dsvc-churn.service"}[target]
    below = shop.cli.ok("ls", "-r", "HEAD", "deploy").out.split()
    assert sorted(below) == ["deploy/churn/.gitignore", f"deploy/churn/{name}"]


def test_the_same_again_changes_nothing_and_a_new_version_does(shop, folder):
    first = deploy(shop, "--to", "manifest", "--replicas", "3")
    assert (first["outcome"], first["deployment"]) == ("new", 1)
    again = deploy(shop)
    assert (again["outcome"], again["deployment"], again["changed"], again["id"]) == ("same", 1, [], first["id"])
    shop.train("b")
    second = deploy(shop)
    assert (second["outcome"], second["deployment"], second["number"]) == ("changed", 2, 2)
    assert second["spec"]["replicas"] == 3
    assert second["previous"] == first["id"]
    assert second["changed"] == ["serviceaccount.yaml"] or "deployment.yaml" in second["changed"]
    assert deploy(shop, "--reset")["spec"]["replicas"] == 1
    assert not (folder / "poddisruptionbudget.yaml").exists()


def test_rollback_goes_back_one_by_one(shop, folder):
    for word in "bc":
        shop.train(word)
    for number in (1, 2, 3):
        deploy_of(shop, f"churn@{number}")
    back = shop.cli.ok("deploy", "rollback", "churn", "--base", str(shop.base), "--json").json
    assert (back["number"], back["deployment"]) == (2, 4)
    back = shop.cli.ok("deploy", "rollback", "churn", "--base", str(shop.base), "--json").json
    assert (back["number"], back["deployment"]) == (1, 5)
    assert documents(folder)["Service"]["metadata"]["labels"]["app.kubernetes.io/version"] == "1"
    answer = shop.cli("deploy", "rollback", "churn", "--base", str(shop.base))
    assert (answer.code, "never another one" in answer.err) == (3, True)
    back = shop.cli.ok("deploy", "rollback", "churn", "--to", "3", "--base", str(shop.base), "--json").json
    assert back["number"] == 3
    listed = shop.cli.ok("deploy", "list", "churn", "--json").json["deployments"]
    assert [each["number"] for each in listed] == [3, 1, 2, 3, 2, 1]
    assert [each["number"] for each in shop.cli.ok("deploy", "--json").json["deployments"]] == [3]


def test_rollback_and_promote_take_the_image_that_was_deployed(shop, tmp_path, oci_registry):
    """Not one built anew: the base may have moved or be out of reach, and another clone may go back."""
    first = deploy(shop, "--to", "manifest", "--registry", f"{oci_registry.host}/team")
    shop.train("b")
    second = deploy(shop, "--canary", "50")
    shop.cli.ok("config", "--repo", "build.base", str(tmp_path / "nowhere"))
    promoted = shop.cli.ok("deploy", "promote", "churn", "--json").json
    assert (promoted["number"], promoted["digest"]) == (2, second["digest"])
    back = shop.cli.ok("deploy", "rollback", "churn", "--json").json
    assert (back["number"], back["digest"], back["image"]) == (1, first["digest"], first["image"])
    shop.forget()
    back = shop.cli.ok("deploy", "rollback", "churn", "--to", "2", "--json").json
    assert (back["digest"], back["image"]) == (second["digest"], promoted["image"])
    other = write_base(tmp_path / "other", tiny_members(), architecture="arm64")
    assert shop.cli("deploy", "rollback", "churn", "--base", str(other)).code == 3  # what is said is done


def test_a_model_that_no_server_would_load_is_told(shop, tmp_path):
    words = ("deploy", "churn", "--to", "manifest", "--base", str(shop.base))
    said = "predictor.py runs code that nobody signed, so that no server of churn will start"
    assert said in shop.cli.ok(*words).err
    allow = ("--env", "DSVC_SERVE_ALLOW_PICKLE=1")
    assert said not in shop.cli.ok(*words, *allow).err
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "allowed").write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    shop.cli.ok("config", "user.signingKey", str(key))
    shop.cli.ok("config", "sign.allowedSigners", str(tmp_path / "allowed"))
    shop.cli.ok("commit", "--amend", "--sign", "-m", "signed")
    assert said not in shop.cli.ok(*words, "--reset").err


def test_rollback_says_when_its_image_is_another_one(shop, tmp_path):
    first = deploy(shop, "--to", "manifest")
    shop.train("b")
    deploy(shop)
    shop.forget()
    other = write_base(tmp_path / "other", [*tiny_members(), text_member("etc/new", b"more")])
    shop.cli.ok("config", "--repo", "build.base", str(other))
    answer = shop.cli.ok("deploy", "rollback", "churn")
    assert "another one: sha256:" in answer.err
    assert f"not {first['digest']}" in answer.err
    assert shop.cli.ok("deploy", "list", "churn", "--json").json["deployments"][0]["digest"] != first["digest"]


def deploy_of(shop: Shop, model: str) -> dict:
    return shop.cli.ok("deploy", model, "--to", "manifest", "--base", str(shop.base), "--json").json


def test_files_that_somebody_changed(shop, folder):
    deploy(shop, "--to", "manifest")
    assert shop.cli.ok("deploy", "status", "churn", "--json").json["state"] == "written"
    (folder / "service.yaml").write_text("other: true\n")
    (folder / "networkpolicy.yaml").unlink()
    answer = shop.cli("deploy", "status", "churn", "--json")
    assert (answer.code, answer.json["state"]) == (1, "gone")
    assert answer.json["facts"] == ["service.yaml was changed", "networkpolicy.yaml is gone"]
    answer = shop.cli("deploy", "diff", "churn")
    assert (answer.code, "+other: true" in answer.out) == (1, True)
    answer = shop.cli("deploy", "churn", "--base", str(shop.base), "--replicas", "2")
    assert (answer.code, "was not written for churn" in answer.err) == (3, True)
    assert (folder / "service.yaml").read_text() == "other: true\n"
    shop.cli.ok("deploy", "rm", "churn")
    assert [path.name for path in folder.iterdir()] == ["service.yaml"]
    assert shop.cli("deploy", "status", "churn").code == 3


def test_what_watches_it_knows_as_what_it_is_served(shop, folder):
    words = ("--to", "manifest", "--base", str(shop.base), "--env", "DSVC_SERVE_NAME=leaving")
    shop.cli.ok("deploy", "churn", *words)
    rules = (folder / "monitoring" / "prometheusrule.yaml").read_text()
    assert 'dsvc_drift_psi{model="leaving",deployment="churn"}' in rules
    board = (folder / "monitoring" / "dashboard.yaml").read_text()
    assert '  churn.json: |\n    {\n     "uid": ' in board  # people read it in reviews


def test_a_difference_to_what_would_be_deployed(shop):
    deploy(shop, "--to", "manifest")
    assert shop.cli("deploy", "diff", "churn", "churn@1", "--base", str(shop.base)).code == 0
    run = shop.train("b")
    answer = shop.cli("deploy", "diff", "churn", "churn", "--base", str(shop.base), "--json")
    assert answer.code == 1
    facts = {each["what"]: each["new"] for each in answer.json["facts"]}
    assert (facts["model"], facts["run"]) == ("churn@2", run)
    assert any(line.startswith("+") and "dsvc.io/run" in line for line in answer.json["lines"])


def test_a_difference_that_is_in_all_files_is_shown_once(shop):
    shop.cli.ok("deploy", "churn", "--to", "manifest", "--base", str(shop.base), "--host", "a.example.com")
    shop.train("b")
    words = ("deploy", "diff", "churn", "churn@2", "--base", str(shop.base))
    shown = shop.cli(*words)
    assert shown.out.count("+++ ") == 1
    assert shown.out.splitlines()[-1].startswith("the same lines change in ingress.yaml, monitoring/dashboard.yaml, ")
    assert sum(line.startswith("+++ ") for line in shop.cli(*words, "--json").json["lines"]) > 8
    assert "+++ there/ingress.yaml" in _diff_of_a_changed_ingress(shop)


def _diff_of_a_changed_ingress(shop):
    path = shop.cli.directory / "deploy" / "churn" / "ingress.yaml"
    path.write_text(path.read_text().replace("a.example.com", "b.example.com"))
    return shop.cli("deploy", "diff", "churn").out


def test_the_environment_that_was_said_stays(shop):
    """For a model of which no record says it: again, back, as a canary, promoted, and for the next version."""
    cli, base = shop.cli, ("--base", str(shop.base))
    cli.ok("env", "lock", "-q")
    cli.ok("commit", "-q", "-m", "with an environment")
    there = cli.ok("env", "show", "HEAD", "--json").json["environment"]
    (cli.directory / "predictor.py").write_text("def predict(rows: list[dict]) -> list: return rows")
    cli.ok("model", "add", "plain", "predictor.py")
    words = ("deploy", "plain", "--to", "manifest", *base)
    assert cli(*words).code == 3
    made = cli.ok(*words, "--environment", "HEAD", "--json").json
    assert made["labels"]["io.dsvc.environment"] == there
    assert cli.ok("deploy", "plain", *base, "--json").json["outcome"] == "same"
    (cli.directory / "predictor.py").write_text("def predict(rows: list[dict]) -> list: return rows[:]")
    cli.ok("model", "add", "plain", "predictor.py")
    cli.ok("deploy", "plain@2", "--canary", "50", *base)
    cli.ok("deploy", "promote", "plain", *base)
    assert cli.ok("deploy", "rollback", "plain", *base, "--json").json["digest"] == made["digest"]


def test_a_dry_run_does_nothing(shop, folder):
    answer = shop.cli.ok("deploy", "churn", "--to", "manifest", "--base", str(shop.base), "--dry-run")
    assert {each["kind"] for each in yaml.safe_load_all(answer.out)} >= {"Deployment", "Service"}
    assert not folder.exists()
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"] == []


def test_another_target_takes_the_first_one_away(shop, folder):
    deploy(shop, "--to", "manifest", "-o", "out")
    deploy(shop, "--to", "compose")
    assert not (shop.cli.directory / "out").exists()
    assert (folder / "compose.yaml").exists()


def test_what_makes_no_sense(shop):
    base = ("--base", str(shop.base))
    for words, said in [
        ((), "where to?"),
        (("--to", "manifest", "--name", "No"), "not a valid name"),
        (("--to", "manifest", "--cpu", "much"), "no amount of CPU"),
        (("--to", "manifest", "--memory", "0"), "no amount of memory"),
        (("--to", "manifest", "--replicas", "5-2"), "ends below"),
        (("--to", "manifest", "--env", "A-B=1"), "names no variable"),
        (("--to", "manifest", "--wait"), "nothing to wait for"),
        (("--to", "elsewhere"), "elsewhere"),
    ]:
        answer = shop.cli("deploy", "churn", *base, *words)
        assert (answer.code, said in answer.err) == (2, True), answer.err
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"] == []


def test_deployments_travel_and_undo(shop, tmp_path):
    deploy(shop, "--to", "manifest")
    shop.cli.ok("remote", "add", "origin", str(tmp_path / "hub"))
    shop.cli.ok("push", "-q", "origin")
    shop.cli.ok("clone", "-q", str(tmp_path / "hub"), str(tmp_path / "other"))
    other = CommandLine(tmp_path / "other", {**shop.cli.environment, "DSVC_USER_NAME": "Bob"})
    assert other.ok("deploy", "list", "--json").json["deployments"][0]["model"] == "churn"
    other.ok("deploy", "churn", "--replicas", "2", "--base", str(shop.base))
    other.ok("push", "-q")
    shop.cli.ok("fetch", "-q")
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"][0]["spec"]["replicas"] == 2
    shop.cli.ok("fsck")
    shop.cli.ok("undo", "-q")
    shop.cli.ok("model", "rm", "churn")
    shop.cli.ok("gc")
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"][0]["spec"]["replicas"] == 1
