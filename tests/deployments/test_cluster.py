"""`dsvc deploy --to k8s`: against the cluster of KUBECONFIG where one is given."""

from __future__ import annotations

import os

import pytest

from tests.images.shop import Shop
from tests.servers.ports import free_port

CONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
clusters: [{{name: here, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: me, user: {{token: none}}}}]
"""


@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="needs a cluster, named by KUBECONFIG")
def test_a_cluster(shop: Shop):
    """Its nodes cannot fetch the image, so it never gets ready: the last events are told, and all can be removed."""
    shop.cli.environment["KUBECONFIG"] = os.environ["KUBECONFIG"]
    words = ("--to", "k8s", "--name", "dsvc-test", "--base", str(shop.base), "--host", "churn.example.com")
    done = shop.cli.ok("deploy", "churn", *words, "--json").json
    assert {each.partition(" ")[0] for each in done["changed"]} >= {"Deployment", "Service", "Ingress", "NetworkPolicy"}
    assert shop.cli.ok("deploy", "churn", *words, "--json").json["outcome"] == "same"
    answer = shop.cli("deploy", "churn", *words, "--wait", "--timeout", "20")
    assert answer.code == 14
    assert "0 of 1 replicas: " in answer.err
    assert "warning" not in answer.err.lower()  # the library warns of insecure-skip-tls-verify at each call
    assert shop.cli("deploy", "status", "dsvc-test").code == 1
    shop.train("b")
    done = shop.cli.ok("deploy", "churn", *words, "--json").json
    assert any(each.startswith("Deployment ") for each in done["changed"])
    assert shop.cli.ok("deploy", "rollback", "dsvc-test", "--base", str(shop.base), "--json").json["number"] == 1
    removed = shop.cli.ok("deploy", "rm", "dsvc-test", "--json").json["removed"]
    assert {each.partition(" ")[0] for each in removed} >= {"Deployment", "Service", "Ingress", "NetworkPolicy"}
    answer = shop.cli("deploy", "churn", *words, "--namespace", "dsvc-not-there")
    assert (answer.code, "kubectl create namespace dsvc-not-there" in answer.err) == (14, True)


@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="needs a cluster, named by KUBECONFIG")
def test_an_autoscaler_in_a_cluster(shop: Shop):
    """Where the cluster is older than 1.23 the error says what it does not know, and nothing was applied."""
    shop.cli.environment["KUBECONFIG"] = os.environ["KUBECONFIG"]
    words = ("--to", "k8s", "--name", "dsvc-test", "--base", str(shop.base))
    answer = shop.cli("deploy", "churn", *words, "--replicas", "1-2", "--json")
    if answer.code == 14:
        assert "autoscaling/v2 since 1.23" in answer.err
        assert shop.cli("deploy", "status", "dsvc-test").code == 3
        return
    done = shop.cli.ok("deploy", "churn", "--name", "dsvc-test", "--base", str(shop.base), "--reset", "--json").json
    assert any(each.startswith("HorizontalPodAutoscaler ") for each in done["removed"])
    shop.cli.ok("deploy", "rm", "dsvc-test")


def test_a_cluster_that_is_not_there(shop: Shop, tmp_path):
    pytest.importorskip("kubernetes")
    words = ("deploy", "churn", "--to", "k8s", "--base", str(shop.base))
    answer = shop.cli(*words)
    assert (answer.code, "KUBECONFIG" in answer.err) == (14, True)
    (tmp_path / "config").write_text(CONFIG.format(port=free_port()))
    shop.cli.environment["KUBECONFIG"] = str(tmp_path / "config")
    answer = shop.cli(*words)
    assert (answer.code, "cannot be reached" in answer.err) == (14, True)
    assert shop.cli.ok("deploy", "list", "--json").json["deployments"] == []
