"""A Kubernetes cluster as a place, through the official client, by server-side apply.

https://kubernetes.io/docs/reference/using-api/server-side-apply/ : the cluster keeps which fields are dsvc's, and
leaves those alone that others set, such as the number of replicas that an autoscaler chose.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from dsvc.deployments.deployment import Deployment
from dsvc.deployments.kserve import kserve_documents
from dsvc.deployments.manifests import MANAGER, PORT, TRACK, documents
from dsvc.deployments.monitors import API as MONITORING
from dsvc.deployments.monitors import DASHBOARD, alert_rules, dashboard_map, monitor
from dsvc.deployments.place import Applied, InTheWayError, Package, PlaceError, Status
from dsvc.errors import RequestError

_NAME, _MANAGED = "app.kubernetes.io/name", "app.kubernetes.io/managed-by"
_KSERVE = ("serving.kserve.io/v1beta1", "InferenceService")
# All kinds that a deployment may have made, in the order in which they are taken away, and how their names end.
_KINDS = (
    ("networking.k8s.io/v1", "Ingress", ""),
    ("autoscaling/v2", "HorizontalPodAutoscaler", ""),
    ("policy/v1", "PodDisruptionBudget", ""),
    (MONITORING, "ServiceMonitor", ""),
    (MONITORING, "PodMonitor", ""),
    (MONITORING, "PrometheusRule", ""),
    ("v1", "ConfigMap", DASHBOARD),
    (*_KSERVE, ""),
    ("apps/v1", "Deployment", ""),
    ("v1", "Service", ""),
    ("networking.k8s.io/v1", "NetworkPolicy", ""),
    ("v1", "ServiceAccount", ""),
)
_PROMETHEUS = "--prometheus URL, where they are scraped"
_EVENTS = 5  # that are told of a deployment that is not ready
_FAILED = ("CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError",
           "ProgressDeadlineExceeded")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """A cluster; `client` is the library's dynamic client, `namespace` the one of the context that is used."""

    client: Any
    namespace: str
    scratch: TemporaryDirectory[str]  # of the library: it goes away with the place

    @property
    def starts(self) -> bool:
        """It runs what is brought to it."""
        return True

    def apply(self, made: Deployment, package: Package, before: Deployment | None) -> Applied:
        """Apply each object, then remove those that the deployment had and has no more; see `Place`."""
        del package, before
        namespace = self._namespace(made)
        changed = []
        with _told():
            wanted = self._documents(made)
            there = {_key(each): self._get(*_key(each), namespace) for each in wanted}
            for (_, kind, name), old in there.items():
                if old is not None and (old.metadata.labels or {}).get(_MANAGED) != MANAGER:
                    raise InTheWayError(
                        f"there is a {kind} {name} in {namespace}, which is none of dsvc's", hint="--name NAME"
                    )
            for each in wanted:
                api_version, kind, name = _key(each)
                resource = self.client.resources.get(api_version=api_version, kind=kind)
                now = self.client.server_side_apply(
                    resource, body=dict(each), name=name, namespace=namespace, field_manager=MANAGER,
                    force_conflicts=True,
                )  # fmt: skip
                old = there[_key(each)]
                if old is None or old.metadata.resourceVersion != now.metadata.resourceVersion:
                    changed.append(f"{kind} {namespace}/{name}")
            removed = self._remove(made, namespace, keep=there)
        return Applied(tuple(changed), tuple(removed))

    def status(self, made: Deployment) -> Status:
        """Ask for the rollout, its pods and their last events."""
        namespace = self._namespace(made)
        with _told():
            if made.target == "kserve":
                return self._inference(made, namespace)
            one = self._get("apps/v1", "Deployment", made.name, namespace)
            if one is None:
                return Status("gone", 0, made.spec.replicas, facts=(f"there is no Deployment {namespace}/{made.name}",))
            pods = self._pods(made, namespace)
            told, wanted = one.status, int(one.spec.replicas or 0)
            updated, ready = int(told.updatedReplicas or 0), int(told.readyReplicas or 0)
            seen = int(told.observedGeneration or 0) >= int(one.metadata.generation or 0)
            digests = {_digest(each) for each in pods if not each.metadata.deletionTimestamp}
            digest = digests.pop() if len(digests) == 1 else ""
            if seen and updated == ready == wanted == int(told.replicas or 0) and wanted:
                return Status("ready", ready, wanted, self._addresses(made, namespace), digest=digest)
            stuck = [(str(each.reason), str(each.message)) for each in told.conditions or [] if _is_stuck(each)]
            reasons = [*stuck, *(reason for each in pods for reason in _reasons(each))]
            state: Any = "failed" if any(word in _FAILED for word, _ in reasons) else "waiting"
            facts = [": ".join(filter(None, reason)) for reason in reasons] + self._events(made, pods, namespace)
            return Status(state, min(updated, ready), wanted, (), tuple(facts), digest)

    def logs(self, made: Deployment, lines: int) -> Iterator[str]:
        """Yield the last lines of each pod."""
        from kubernetes.client import CoreV1Api

        namespace, core = self._namespace(made), CoreV1Api(self.client.client)
        with _told():
            for pod in self._pods(made, namespace):
                name = pod.metadata.name
                # Read whole, the library would give the text of bytes: b'...'.
                raw = core.read_namespaced_pod_log(name, namespace, tail_lines=lines, _preload_content=False)
                yield from (f"{name}: {line}" for line in raw.data.decode("utf-8", "replace").splitlines())

    def logs_elsewhere(self, made: Deployment) -> str:
        """They are here."""
        del made
        return ""

    def metrics(self, made: Deployment) -> Iterator[str]:
        """Ask each pod, through the API of the cluster."""
        from kubernetes.client import CoreV1Api

        if "DSVC_SERVE_TOKEN" in made.spec.env:
            raise RequestError("the servers want a token, which cannot be sent through the cluster", hint=_PROMETHEUS)
        namespace, core = self._namespace(made), CoreV1Api(self.client.client)
        with _told():
            for pod in self._pods(made, namespace):
                raw = core.connect_get_namespaced_pod_proxy_with_path(
                    f"{pod.metadata.name}:{PORT}", namespace, "metrics", _preload_content=False
                )
                yield raw.data.decode("utf-8", "replace")

    def remove(self, made: Deployment) -> Applied:
        """Remove all objects that dsvc made for it."""
        namespace = self._namespace(made)
        with _told():
            return Applied(removed=tuple(self._remove(made, namespace)))

    def _namespace(self, made: Deployment) -> str:
        return made.spec.namespace or self.namespace

    def _documents(self, made: Deployment) -> list[dict[str, Any]]:
        if made.target == "kserve":
            return kserve_documents(made)
        found = documents(made)
        if made.canary_of:
            return found
        if self._knows(MONITORING, "ServiceMonitor"):
            found.append(monitor(made, "ServiceMonitor"))
        elif self._knows(MONITORING, "PodMonitor"):  # either of them finds all pods
            found.append(monitor(made, "PodMonitor"))
        if self._knows(MONITORING, "PrometheusRule"):
            found += [alert_rules(made), dashboard_map(made)]
        return found

    def _knows(self, api_version: str, kind: str) -> bool:
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        try:
            self.client.resources.get(api_version=api_version, kind=kind)
        except ResourceNotFoundError:
            return False
        return True

    def _remove(self, made: Deployment, namespace: str, *, keep: Container[tuple[str, str, str]] = ()) -> list[str]:
        """Remove what a deployment of this name may have made, but what is kept; return what was there."""
        removed = []
        for api_version, kind, suffix in _KINDS:
            name = made.name + suffix
            if (api_version, kind, name) not in keep and self._delete(api_version, kind, name, namespace):
                removed.append(f"{kind} {namespace}/{name}")
        return removed

    def _get(self, api_version: str, kind: str, name: str, namespace: str) -> Any:
        from kubernetes.dynamic.exceptions import NotFoundError

        try:
            resource = self.client.resources.get(api_version=api_version, kind=kind)
            return self.client.get(resource, name=name, namespace=namespace)
        except NotFoundError:
            return None

    def _delete(self, api_version: str, kind: str, name: str, namespace: str) -> bool:
        """Remove an object of dsvc's; False where there is none."""
        if not self._knows(api_version, kind):
            return False
        old = self._get(api_version, kind, name, namespace)
        if old is None or (old.metadata.labels or {}).get(_MANAGED) != MANAGER:
            return False
        resource = self.client.resources.get(api_version=api_version, kind=kind)
        self.client.delete(resource, name=name, namespace=namespace, body={"propagationPolicy": "Background"})
        return True

    def _pods(self, made: Deployment, namespace: str) -> list[Any]:
        pods = self.client.resources.get(api_version="v1", kind="Pod")
        wanted = f"{_NAME}={made.canary_of or made.name},{TRACK}{'=' if made.canary_of else '!='}canary"
        return list(self.client.get(pods, namespace=namespace, label_selector=wanted).items)

    def _events(self, made: Deployment, pods: list[Any], namespace: str) -> list[str]:
        """Return the last events of its pods, and of what makes them: a quota leaves no pod that could say so."""
        events = self.client.resources.get(api_version="v1", kind="Event")
        names = {"Pod": {pod.metadata.name for pod in pods}, "Deployment": {made.name}}
        found = [
            each
            for each in self.client.get(events, namespace=namespace).items
            if each.involvedObject.name in names.get(each.involvedObject.kind, ())
            or (each.involvedObject.kind == "ReplicaSet" and each.involvedObject.name.rpartition("-")[0] == made.name)
        ]
        found.sort(key=lambda each: str(each.lastTimestamp or each.eventTime or ""))
        return [f"{each.involvedObject.name}: {each.reason}: {each.message}" for each in found[-_EVENTS:]]

    def _addresses(self, made: Deployment, namespace: str) -> tuple[str, ...]:
        inside = f"http://{made.canary_of or made.name}.{namespace}.svc"
        return (inside, f"http://{made.spec.host}") if made.spec.host else (inside,)

    def _inference(self, made: Deployment, namespace: str) -> Status:
        one = self._get(*_KSERVE, made.name, namespace)
        if one is None:
            return Status("gone", 0, made.spec.replicas)
        conditions = {each.type: each for each in (one.status.conditions or [])} if one.status else {}
        ready = conditions.get("Ready")
        if ready is not None and ready.status == "True":
            return Status("ready", made.spec.replicas, made.spec.replicas, (str(one.status.url or ""),))
        facts = [f"{name}: {each.message}" for name, each in conditions.items() if each.message]
        return Status("waiting", 0, made.spec.replicas, facts=tuple(facts))


def open_cluster(variables: Mapping[str, str]) -> ClusterPlace:
    """Return the cluster of the context that KUBECONFIG, or ~/.kube/config, has as its current one.

    Raises:
        PlaceError: when it does not answer, or no file names one. RequestError: when the library is missing.
    """
    try:
        from kubernetes import config
        from kubernetes.dynamic import DynamicClient
    except ModuleNotFoundError as error:
        raise RequestError("speaking to Kubernetes needs a library", hint="pip install 'dsvc[k8s]'") from error
    file = variables.get("KUBECONFIG") or f"{variables.get('HOME', '')}/.kube/config"
    with _told():
        _, context = config.list_kube_config_contexts(config_file=file)
        # The library keeps what the cluster knows in a file, whose usual name anybody on this machine can guess, and
        # which would not know what was installed in the cluster since.
        scratch = TemporaryDirectory(prefix="dsvc-k8s-")
        client = DynamicClient(config.new_client_from_config(config_file=file), cache_file=f"{scratch.name}/known.json")
    return ClusterPlace(client, str((context.get("context") or {}).get("namespace") or "default"), scratch)


def _key(document: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(document["apiVersion"]), str(document["kind"]), str(document["metadata"]["name"])


def _digest(pod: Any) -> str:
    """Return the digest of the image that a pod runs, as its node says."""
    for each in pod.status.containerStatuses or []:
        _, at, digest = str(each.imageID or "").rpartition("@")
        if at:
            return digest
    return ""


def _is_stuck(condition: Any) -> bool:
    """Say whether a condition of a Deployment is one in which it does not go on."""
    wanted = {"Progressing": "False", "ReplicaFailure": "True"}
    return bool(wanted.get(str(condition.type)) == condition.status)


def _reasons(pod: Any) -> Iterator[tuple[str, str]]:
    """Yield why the containers of a pod do not run: a word and a text."""
    for each in pod.status.containerStatuses or []:
        waiting = each.state.waiting if each.state is not None else None
        ended = each.lastState.terminated if each.lastState is not None else None
        if waiting is not None:
            yield str(waiting.reason or ""), str(waiting.message or "")
        if ended is not None:
            yield str(ended.reason or ""), f"exit code {ended.exitCode} {ended.message or ''}".strip()


@contextmanager
def _told() -> Iterator[None]:
    """Say in words of ours what the cluster says."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from kubernetes.dynamic.exceptions import KubernetesValidateMissing, ResourceNotFoundError
    from urllib3.exceptions import HTTPError, InsecureRequestWarning

    try:
        with warnings.catch_warnings():
            # KUBECONFIG says insecure-skip-tls-verify then, and the library would say so at each of its calls.
            warnings.simplefilter("ignore", InsecureRequestWarning)
            yield
    except ConfigException as error:
        raise PlaceError(f"no cluster is known: {error}", hint="KUBECONFIG names a file with one") from error
    except ApiException as error:
        text, hint = _refusal(error)
        raise PlaceError(f"the cluster answered with {error.status}: {text}", hint=hint) from error
    except (ResourceNotFoundError, KubernetesValidateMissing) as error:
        hint = "kubectl api-resources lists what it knows: autoscaling/v2 since 1.23, KServe where it is installed"
        raise PlaceError(f"the cluster does not know this: {error}", hint=hint) from error
    except (HTTPError, OSError) as error:
        raise PlaceError(f"the cluster cannot be reached: {error}", hint="kubectl cluster-info") from error


def _refusal(error: Any) -> tuple[str, str]:
    """Return what the cluster says of a call that it refused, and what helps; its answer is an object `Status`."""
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    hint = "kubectl auth can-i --list shows what you may do there"
    match told:
        case {"details": {"kind": "namespaces", "name": str(name)}} if error.status == 404:
            hint = f"kubectl create namespace {name}, or --namespace NAME"
    said = told.get("message") if isinstance(told, dict) else None
    return " ".join(str(said or body or error.reason or error).split())[:500], hint
