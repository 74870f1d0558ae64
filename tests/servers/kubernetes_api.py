"""The API of Kubernetes over HTTP, emulated by `kmock`, on a free port of this machine.

kmock has discovery, objects, conflicts and deletion. What a deployment needs beside them is added here: server-side
apply, versions and generations, lists by labels, logs, and a controller that makes pods of Deployments at once.
Nothing is validated: `kubernetes-validate` does that for the same objects elsewhere.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_CONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me, namespace: {namespace}}}}}]
clusters: [{{name: here, cluster: {{server: "{server}"}}}}]
users: [{{name: me, user: {{token: none}}}}]
"""
RESOURCES = {
    "v1/services": "Service", "v1/serviceaccounts": "ServiceAccount", "v1/pods": "Pod", "v1/events": "Event",
    "v1/configmaps": "ConfigMap", "apps/v1/deployments": "Deployment", "networking.k8s.io/v1/ingresses": "Ingress",
    "networking.k8s.io/v1/networkpolicies": "NetworkPolicy", "policy/v1/poddisruptionbudgets": "PodDisruptionBudget",
    "autoscaling/v2/horizontalpodautoscalers": "HorizontalPodAutoscaler",
}  # fmt: skip
MONITORING = {
    "monitoring.coreos.com/v1/servicemonitors": "ServiceMonitor", "monitoring.coreos.com/v1/podmonitors": "PodMonitor",
    "monitoring.coreos.com/v1/prometheusrules": "PrometheusRule",
}  # fmt: skip
KSERVE = {"serving.kserve.io/v1beta1/inferenceservices": "InferenceService"}
_APPLY = "application/apply-patch+yaml"
_PROXY = re.compile(r"/api/v1/namespaces/[^/]+/pods/([^/:]+)(?::\d+)?/proxy(/.*)")
_LOG = re.compile(r"/api/v1/namespaces/[^/]+/pods/([^/]+)/log")


class Cluster:
    """A cluster: `ready` says of a Deployment whether its pods get ready, `answers` what a pod answers to a path.

    `refuse` holds kinds that nobody may apply. `calls` has method and path of each request.
    """

    def __init__(self) -> None:
        self.ready: Callable[[dict[str, Any]], bool] = lambda _deployment: True
        self.answers: Callable[[str, str], str] = lambda _pod, _path: ""
        self.refuse: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self._applied: dict[tuple[str, str], dict[str, Any]] = {}
        self._version = 0
        self._loop = asyncio.new_event_loop()
        self._server: Any = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self._server.url).rstrip("/")

    def start(self) -> None:
        """Listen."""
        from kmock import KubernetesEmulator, Server

        outer = self

        class Emulator(KubernetesEmulator):  # type: ignore[misc]
            """kmock with what is added here."""

            async def _handle(self, request: Any) -> Any:
                return outer.serve(request) or await super()._handle(request)

        self._thread.start()
        self.emulator = Emulator(strict=False)
        self.know(RESOURCES)
        self._server = Server(self.emulator)
        for each in (self.emulator, self._server):
            asyncio.run_coroutine_threadsafe(each.__aenter__(), self._loop).result(30)

    def stop(self) -> None:
        """End."""
        for each in (self._server, self.emulator):
            asyncio.run_coroutine_threadsafe(each.__aexit__(None, None, None), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def know(self, resources: dict[str, str]) -> None:
        """Add kinds of objects, as definitions of custom resources do."""
        verbs = {"get", "list", "create", "patch", "update", "delete"}
        for name, kind in resources.items():
            self.emulator.resources[name] = {
                "kind": kind, "namespaced": True, "verbs": verbs, "singular": kind.lower(), "subresources": set(),
            }  # fmt: skip

    def config(self, folder: Path, namespace: str = "shop") -> str:
        """Write a KUBECONFIG and return its path."""
        path = folder / "kubeconfig"
        path.write_text(_CONFIG.format(server=self.url, namespace=namespace))
        return str(path)

    def objects(self) -> dict[tuple[str, str], dict[str, Any]]:
        """All objects that are there, by kind and name."""
        found = {}
        for (_, _, name), value in self.emulator.objects.items():
            if not value.deleted:
                raw = copy.deepcopy(value.raw)
                found[raw["kind"], name] = raw
        return found

    def put(self, resource: str, body: dict[str, Any], namespace: str = "shop") -> None:
        """Put an object there, as some other manager does, or change one."""
        from kmock import resource as parse

        name = body["metadata"]["name"]
        self._version += 1
        body = {**body, "metadata": {**body["metadata"], "namespace": namespace, "resourceVersion": str(self._version)}}
        key = (parse(resource), namespace, name)
        there = self.emulator.objects
        if key in there and not there[key].deleted:
            there[key].delete()
        if key in there:
            there[key].create(body)
        else:
            there[key] = body

    def serve(self, request: Any) -> Any:
        """Answer what kmock does not; None leaves it to kmock."""
        from aiohttp.web import Response, json_response

        path, method = request.url.path, str(request.method).upper().rpartition(".")[2]
        self.calls.append((method, path))
        if found := _PROXY.fullmatch(path):
            return Response(text=self.answers(found[1], found[2]))
        if found := _LOG.fullmatch(path):
            lines = [f"line {n} of {found[1]}" for n in range(1, 6)][-int(request.params.get("tailLines", 5)) :]
            return Response(text="\n".join(lines) + "\n")
        if request.headers.get("Content-Type", "").startswith(_APPLY):
            body = json.loads(request.body)
            if body["kind"] in self.refuse:
                told = {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
                        "message": f"{body['kind']} is forbidden"}  # fmt: skip
                return json_response(told, status=403)
            assert request.params["fieldManager"] == "dsvc"
            return json_response(self._apply(request, body))
        if method == "DELETE" and request.name is not None:
            self._applied.pop((str(request.resource), request.name), None)
            if request.resource.plural == "deployments":
                self._end_pods(request.name)
            return None
        kind = RESOURCES.get(f"v1/{request.resource.plural}") if request.resource is not None else None
        if method == "GET" and request.name is None and kind is not None:
            wanted = request.params.get("labelSelector", "").split(",")
            items = [each for (of, _), each in self.objects().items() if of == kind and _fits(each, wanted)]
            return json_response({"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": items})
        return None

    def _apply(self, request: Any, body: dict[str, Any]) -> dict[str, Any]:
        key = (body["kind"], request.name)
        old = self.objects().get(key)
        before = self._applied.get((str(request.resource), request.name), {})
        new = _merged(_without(copy.deepcopy(old or {}), before, body), copy.deepcopy(body))
        self._applied[str(request.resource), request.name] = body
        if old == new:
            return old
        meta = new["metadata"]
        generation = int((old or {}).get("metadata", {}).get("generation", 0))
        meta["generation"] = generation + (old is None or old.get("spec") != new.get("spec"))
        name = f"{request.resource.group}/{request.resource.version}/{request.resource.plural}".lstrip("/")
        if body["kind"] == "Deployment":
            self._roll_out(new, request.namespace)
        self.put(name, new, request.namespace)
        return self.objects()[key]

    def _roll_out(self, one: dict[str, Any], namespace: str) -> None:
        """Do what the controller does: pods by the template, and how they are."""
        name, template = one["metadata"]["name"], one["spec"]["template"]
        wanted = one["spec"].setdefault("replicas", 1)
        good = self.ready(one)
        self._end_pods(name)
        for number in range(1, wanted + 1):
            pod = f"{name}-5d4f-{number}"
            (container,) = template["spec"]["containers"]
            state: dict[str, Any] = {"running": {}} if good else {
                "waiting": {"reason": "ImagePullBackOff", "message": f"cannot pull {container['image']}"}
            }  # fmt: skip
            self.put("v1/pods", {
                "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                "metadata": {"name": pod, "labels": template["metadata"]["labels"],
                             "annotations": {"owner": name}},
                "status": {"phase": "Running" if good else "Pending", "podIP": "10.0.0.1", "containerStatuses": [
                    {"name": "model", "ready": good, "restartCount": 0, "state": state, "lastState": {},
                     "image": container["image"], "imageID": container["image"]}
                ]},
            }, namespace)  # fmt: skip
            if not good:
                self.put("v1/events", {
                    "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{pod}.1"}, "reason": "Failed",
                    "message": f"Error: no such image for {pod}", "lastTimestamp": f"2026-01-01T00:00:0{number}Z",
                    "involvedObject": {"kind": "Pod", "name": pod},
                }, namespace)  # fmt: skip
        one["status"] = {
            "observedGeneration": one["metadata"]["generation"], "replicas": wanted, "updatedReplicas": wanted,
            "readyReplicas": wanted if good else 0,
        }  # fmt: skip

    def _end_pods(self, name: str) -> None:
        for value in self.emulator.objects.values():
            if value.deleted or value.raw["kind"] != "Pod":
                continue
            if value.raw["metadata"]["annotations"]["owner"] == name:
                value.delete()


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Put what is applied over what is there; lists are replaced."""
    for key, value in new.items():
        old[key] = _merged(old[key], value) if isinstance(value, dict) and isinstance(old.get(key), dict) else value
    return old


def _without(old: dict[str, Any], before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Take away what this manager applied before and applies no more."""
    for key, value in before.items():
        if key not in now:
            old.pop(key, None)
        elif isinstance(value, dict) and isinstance(now[key], dict) and isinstance(old.get(key), dict):
            _without(old[key], value, now[key])
    return old


def _fits(one: dict[str, Any], wanted: list[str]) -> bool:
    labels = one["metadata"].get("labels", {})
    for each in filter(None, wanted):
        name, sign, value = re.fullmatch(r"([^!=]+)(!?=)(.*)", each).groups()  # type: ignore[union-attr]
        if (labels.get(name) == value) != (sign == "="):
            return False
    return True


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster without custom resources, for one test."""
    pytest.importorskip("kmock", reason="kmock is not installed")
    pytest.importorskip("kubernetes", reason="kubernetes is not installed")
    made = Cluster()
    made.start()
    yield made
    made.stop()
