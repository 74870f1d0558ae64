"""`dsvc deploy --to k8s` by the official client over HTTP, against an emulated API."""

from __future__ import annotations

import pytest

from tests.images.shop import Shop
from tests.servers.kubernetes_api import MONITORING, Cluster


@pytest.fixture
def there(shop: Shop, cluster: Cluster) -> Shop:
    """The project, whose command line knows the cluster."""
    shop.cli.environment["KUBECONFIG"] = cluster.config(shop.cli.directory.parent)
    return shop


def deploy(shop: Shop, *words: str, model: str = "churn") -> dict:
    return shop.cli.ok("deploy", model, "--base", str(shop.base), "--json", *words).json


def test_apply_again_a_new_version_back_and_away(there: Shop, cluster: Cluster):
    done = deploy(there, "--to", "k8s", "--replicas", "2", "--host", "churn.example.com", "--wait")
    made = {f"{kind} shop/churn" for kind in (
        "ServiceAccount", "Service", "Deployment", "NetworkPolicy", "Ingress", "PodDisruptionBudget"
    )}  # fmt: skip
    assert (done["outcome"], set(done["changed"]), done["removed"]) == ("new", made, [])
    status = there.cli.ok("deploy", "status", "churn", "--json").json
    assert (status["state"], status["ready"], status["wanted"]) == ("ready", 2, 2)
    assert status["addresses"] == ["http://churn.shop.svc", "http://churn.example.com"]
    again = deploy(there)
    assert (again["outcome"], again["changed"]) == ("same", [])

    there.train("b")
    second = deploy(there, "--replicas", "2-4")
    assert set(second["changed"]) >= {"Deployment shop/churn", "HorizontalPodAutoscaler shop/churn"}
    pods = cluster.objects()["Deployment", "churn"]["spec"]["template"]["metadata"]
    assert pods["labels"]["app.kubernetes.io/version"] == "2"
    back = there.cli.ok("deploy", "rollback", "churn", "--base", str(there.base), "--wait", "--json").json
    assert (back["number"], back["removed"]) == (1, ["HorizontalPodAutoscaler shop/churn"])
    assert cluster.objects()["Deployment", "churn"]["spec"]["replicas"] == 2

    lines = there.cli.ok("deploy", "logs", "churn", "-n", "1").out.splitlines()
    assert lines == ["churn-5d4f-1: line 5 of churn-5d4f-1", "churn-5d4f-2: line 5 of churn-5d4f-2"]
    removed = there.cli.ok("deploy", "rm", "churn", "--json").json["removed"]
    assert set(removed) == made
    assert cluster.objects() == {}
    assert there.cli("deploy", "status", "churn").code == 3


def test_a_cluster_that_never_becomes_ready(there: Shop, cluster: Cluster):
    """What its pods said last is told, the exit code is 14, and what is there is recorded: rollback leads away."""
    deploy(there, "--to", "k8s", "--wait")
    there.train("b")
    cluster.ready = lambda one: one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] != "2"
    answer = there.cli("deploy", "churn", "--base", str(there.base), "--wait", "--timeout", "20")
    assert answer.code == 14
    assert "churn is not ready: 0 of 1 replicas: ImagePullBackOff: cannot pull" in answer.err
    assert "churn-5d4f-1: Failed: Error: no such image" in answer.err
    status = there.cli("deploy", "status", "churn", "--json")
    assert (status.code, status.json["state"], status.json["number"]) == (1, "failed", 2)
    there.cli.ok("deploy", "rollback", "churn", "--base", str(there.base), "--wait")
    assert there.cli.ok("deploy", "status", "churn", "--json").json["state"] == "ready"


def test_pods_that_are_refused_are_told_by_what_should_have_made_them(there: Shop, cluster: Cluster):
    """A quota: no pod is there, and nothing has failed yet. The wait ends by its time."""
    deploy(there, "--to", "k8s")
    one = cluster.objects()["Deployment", "churn"]
    one["status"] = {"observedGeneration": one["metadata"]["generation"], "conditions": [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: gpus"},
        {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "no"},
    ]}  # fmt: skip
    cluster.put("apps/v1/deployments", one)
    for number, name in enumerate(("churn-5d4f", "churn-eu-5d4f")):
        cluster.put("v1/events", {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "reason": "FailedCreate",
            "message": f"quota of {number}", "involvedObject": {"kind": "ReplicaSet", "name": name},
        })  # fmt: skip
    answer = there.cli("deploy", "churn", "--base", str(there.base), "--wait", "--timeout", "1")
    assert answer.code == 14
    assert "0 of 1 replicas: FailedCreate: exceeded quota: gpus; " in answer.err
    assert "churn-5d4f: FailedCreate: quota of 0" in answer.err
    assert "quota of 1" not in answer.err


def test_what_is_anothers_is_left_alone(there: Shop, cluster: Cluster):
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "churn"}, "spec": {"ports": []}}
    cluster.put("v1/services", theirs)
    answer = there.cli("deploy", "churn", "--to", "k8s", "--base", str(there.base))
    assert (answer.code, "there is a Service churn in shop, which is none of dsvc's" in answer.err) == (3, True)
    assert set(cluster.objects()) == {("Service", "churn")}
    assert there.cli.ok("deploy", "list", "--json").json["deployments"] == []


def test_a_deploy_that_the_cluster_breaks_off_is_completed_by_the_same_command(there: Shop, cluster: Cluster):
    cluster.refuse = {"Deployment"}
    answer = there.cli("deploy", "churn", "--to", "k8s", "--base", str(there.base))
    assert (answer.code, "403" in answer.err) == (14, True)
    assert there.cli.ok("deploy", "list", "--json").json["deployments"] == []
    cluster.refuse = set()
    done = deploy(there, "--to", "k8s")
    assert (done["outcome"], "Deployment shop/churn" in done["changed"]) == ("new", True)
    assert "Service shop/churn" not in done["changed"]  # it was there by the first try


def test_an_autoscalers_number_of_replicas_stays(there: Shop, cluster: Cluster):
    deploy(there, "--to", "k8s", "--replicas", "1-5")
    one = cluster.objects()["Deployment", "churn"]
    one["spec"]["replicas"] = 4
    cluster.put("apps/v1/deployments", one)
    deploy(there, "--cpu", "1")
    assert cluster.objects()["Deployment", "churn"]["spec"]["replicas"] == 4


def test_the_prometheus_operator_is_told_where_it_is(there: Shop, cluster: Cluster):
    deploy(there, "--to", "k8s")
    cluster.know(MONITORING)
    done = deploy(there)
    made = ["ServiceMonitor shop/churn", "PrometheusRule shop/churn", "ConfigMap shop/churn-dashboard"]
    assert done["changed"] == made
    there.cli.ok("deploy", "rm", "churn")
    assert cluster.objects() == {}
