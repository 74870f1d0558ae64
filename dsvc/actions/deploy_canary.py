"""Let a new version serve a share of the requests beside the old one, and decide by its figures which of them stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from dsvc.actions.build import BuildOptions
from dsvc.actions.deploy import DeployOptions, DeployResult, deploy, spec_of
from dsvc.actions.deploy_gate import Reading, reader_of
from dsvc.actions.deploy_manage import remove_deployment
from dsvc.actions.deploy_place import open_place, wait_until_ready
from dsvc.actions.deployments import FoundDeployment, UnknownDeploymentError, find_deployment
from dsvc.actions.model import find_model
from dsvc.actions.monitor import Gate
from dsvc.deployments.deployment import Deployment, Spec, decode_spec, encode_spec
from dsvc.deployments.files import FILE_TARGETS
from dsvc.deployments.names import CANARY, check_deployment_name, name_for
from dsvc.deployments.place import NeverReadyError, Status
from dsvc.errors import AnswerNoError, RequestError, UsageError
from dsvc.workspace import Workspace

Outcome = Literal["running", "promoted", "rolled back"]
_PAUSE = 2.0  # seconds between two looks at a canary
_AS_IT_WAS = "dsvc deploy status {}; it is as it was, and its canary is gone"
_READY = 300  # seconds that it has to get ready where nothing is said


class NoCanaryError(RequestError):
    """A deployment beside which no other version stands."""


class CanaryFailedError(AnswerNoError):
    """A canary that did not meet a gate, or never got ready; the deployment is as it was, and the canary is gone."""


@dataclass(frozen=True, slots=True)
class CanaryOptions:
    """How much a canary gets, and what it must be like.

    `share` is percent of the requests. Without `gates` nothing is decided. They are looked at for `during` seconds, and
    are met only by what at least `at_least` requests say. `prometheus` is where figures are read instead of at the
    servers. `wait` is how many seconds the canary has to get ready.
    """

    share: int = 10
    gates: tuple[Gate, ...] = ()
    during: int = 60
    at_least: int = 100
    prometheus: str = ""
    wait: int | None = None


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """What came of a canary: `deployed` is the canary while it runs, and afterwards what took the place of the old one.

    `got` is the share in percent that it had by the numbers of servers, `reading` its last figures.
    """

    outcome: Outcome
    name: str
    deployed: DeployResult
    got: float
    reading: Reading | None = None


def deploy_canary(
    workspace: Workspace,
    model: str,
    options: DeployOptions,
    canary: CanaryOptions,
    *,
    tell: Callable[[str], None] = lambda _line: None,
) -> CanaryResult:
    """Bring a version beside the one that is deployed, as the deployment NAME-canary; with gates, decide.

    The canary is recorded like any deployment, and so is what follows: a command that was broken off is completed by
    the same one again.

    Raises:
        UsageError: where there is no such deployment, or its place cannot do this. CanaryFailedError: after the canary
            was taken away. What `deploy` raises.
    """
    version = find_model(workspace, model).version
    name = check_deployment_name(options.name or name_for(version.name))
    try:
        stable = find_deployment(workspace, name).deployment
    except UnknownDeploymentError as error:
        raise UsageError(
            f"there is no deployment {name} yet, and a canary stands beside one",
            hint=f"dsvc deploy {model} --to PLACE, without --canary",
        ) from error
    if options.target not in (None, stable.target) or stable.target == "kserve":
        raise UsageError(
            f"{name} is deployed by {stable.target}, and so is its canary"
            if stable.target != "kserve"
            else "KServe moves requests to a new version by itself: canaryTrafficPercent of the InferenceService",
        )
    if not 1 <= canary.share <= 99:
        raise UsageError(f"--canary {canary.share} is no share of the requests in percent", hint="--canary 10")
    if canary.gates and stable.target == "manifest":
        raise UsageError(
            "a gate has nothing to look at yet: manifests are applied by others",
            hint=f"dsvc deploy promote {name} --gate ... --prometheus URL, when they are",
        )
    spec = spec_of(options, stable.spec)
    if (stable.model, stable.version, stable.spec) == (version.name, version.version, spec):
        tell(f"{name} is {model} already")
        return CanaryResult("promoted", name, _finish(workspace, name, stable, spec, options, tell=tell), 100.0)
    count = _servers(stable.spec, canary.share)
    got = 100 * count / (count + stable.spec.replicas)
    made = deploy(workspace, model, _beside(stable, spec, count, options, canary.share), tell=tell)
    if made.applied is None:
        return CanaryResult("running", name, made, got)
    if stable.target not in ("k8s", "manifest"):
        port = made.deployment.spec.port
        tell(f"the canary answers at port {port}: what spreads requests over ports sends it its {canary.share} %")
    elif abs(got - canary.share) >= 5:
        tell(
            f"the canary is {count} of {count + stable.spec.replicas} servers, and gets about {got:.0f} % of the"
            f" requests: with more --replicas it would be nearer to {canary.share} %"
        )
    wait = canary.wait if canary.wait is not None else _READY if canary.gates else None
    if wait is not None and stable.target not in FILE_TARGETS:
        _await(workspace, name, made.deployment, wait)
    if not canary.gates:
        return CanaryResult("running", name, made, got)
    return promote(workspace, name, options.build, canary, tell=tell)


def promote(
    workspace: Workspace,
    name: str,
    build: BuildOptions,
    canary: CanaryOptions,
    *,
    tell: Callable[[str], None] = lambda _line: None,
) -> CanaryResult:
    """Let the canary of a deployment take its place, if it meets the gates.

    Raises:
        NoCanaryError. CanaryFailedError: it did not, and was taken away. What `deploy` raises.
    """
    stable, found = find_canary(workspace, name)
    told = cast("Mapping[str, Any]", found.deployment.metadata["canary"])
    reading = _judge(workspace, stable.deployment.name, found.deployment, canary, tell=tell) if canary.gates else None
    spec = decode_spec(told["spec"])
    one = found.deployment
    options = DeployOptions(
        build, registry=str(one.metadata.get("registry") or ""), wait=canary.wait, image_of=one
    )
    model = f"{one.model}@{one.version}"
    done = _finish(workspace, stable.deployment.name, stable.deployment, spec, options, model=model, tell=tell)
    got = 100 * one.spec.replicas / (one.spec.replicas + stable.deployment.spec.replicas)
    return CanaryResult("promoted", stable.deployment.name, done, got, reading)


def find_canary(workspace: Workspace, name: str) -> tuple[FoundDeployment, FoundDeployment]:
    """Return a deployment and its canary.

    Raises:
        UnknownDeploymentError. NoCanaryError.
    """
    stable = find_deployment(workspace, name)
    try:
        found = find_deployment(workspace, stable.deployment.name + CANARY)
    except UnknownDeploymentError as error:
        raise NoCanaryError(
            f"{stable.deployment.name} has no canary", hint=f"dsvc deploy MODEL --name {name} --canary 10"
        ) from error
    if found.deployment.canary_of != stable.deployment.name:
        raise NoCanaryError(f"{found.deployment.name} is a deployment of its own, and no canary")
    return stable, found


def _servers(spec: Spec, share: int) -> int:
    """Return how many servers get about this share of the requests beside those that are there."""
    return max(1, round(spec.replicas * share / (100 - share)))


def _beside(stable: Deployment, spec: Spec, count: int, options: DeployOptions, share: int) -> DeployOptions:
    """Return how a canary is deployed: with the settings that it will have, but for numbers, ports and names."""
    registry = options.registry if options.registry is not None else str(stable.metadata.get("registry") or "")
    port = spec.port + max(spec.replicas, stable.spec.replicas)
    build = replace(options.build, otherwise=options.build.otherwise or stable.environment or None)
    keeps_host = stable.target not in ("k8s", "manifest")  # there it is an address to listen at
    return replace(
        options, build=build, name=stable.name + CANARY, target=stable.target, registry=registry, place=None,
        replicas=count, most=0, env=spec.env, without=(), cpu=spec.cpu, memory=spec.memory, gpu=spec.gpu,
        host=spec.host if keeps_host else "", port=port, namespace=spec.namespace, reset=True, wait=None,
        metadata={"canary": {"of": stable.name, "percent": share, "spec": encode_spec(spec)}},
    )  # fmt: skip


def _finish(
    workspace: Workspace,
    name: str,
    stable: Deployment,
    spec: Spec,
    options: DeployOptions,
    *,
    tell: Callable[[str], None],
    model: str = "",
) -> DeployResult:
    """Deploy what the canary was under the name of the deployment, then take the canary away, if it is there."""
    whole = replace(
        options, name=name, target=stable.target, place=None, replicas=spec.replicas, most=spec.most, env=spec.env,
        without=(), cpu=spec.cpu, memory=spec.memory, gpu=spec.gpu, host=spec.host, port=spec.port,
        namespace=spec.namespace, reset=True, metadata={},
    )  # fmt: skip
    done = deploy(workspace, model or f"{stable.model}@{stable.version}", whole, tell=tell)
    if done.applied is not None:
        _take_away(workspace, name)
    return done


def _take_away(workspace: Workspace, name: str) -> None:
    try:
        _, found = find_canary(workspace, name)
    except NoCanaryError:
        return
    remove_deployment(workspace, found.deployment.name)


def _await(workspace: Workspace, name: str, made: Deployment, seconds: int) -> None:
    try:
        wait_until_ready(open_place(workspace, made.target), made, seconds)
    except NeverReadyError as error:
        _take_away(workspace, name)
        error.hint = _AS_IT_WAS.format(name)
        raise


def _judge(
    workspace: Workspace, name: str, made: Deployment, canary: CanaryOptions, *, tell: Callable[[str], None]
) -> Reading:
    """Look at a canary for its time; raises CanaryFailedError after it was taken away."""
    place = open_place(workspace, made.target)
    read = reader_of(place, made, canary.prometheus, minutes=max(1, round(canary.during / 60)))
    began = time.monotonic()
    tell(f"{made.name} is looked at for {canary.during} seconds: {', '.join(map(str, canary.gates))}")
    while True:
        spent = time.monotonic() - began
        status = place.status(made) if made.target not in FILE_TARGETS else Status("ready")
        if status.state in ("failed", "gone"):
            said = "; ".join(status.facts[-5:])
            raise _failed(workspace, name, made, f"its servers do not run{': ' + said if said else ''}", None)
        reading = read(spent)
        enough = reading.requests >= canary.at_least
        if enough and (broken := reading.broken(canary.gates)):
            raise _failed(workspace, name, made, _told(broken, reading), reading)
        if spent >= canary.during:
            if not enough:
                why = f"{reading.requests:.0f} requests are too few to tell, it takes {canary.at_least}"
                raise _failed(workspace, name, made, why, reading)
            if failed := reading.failed(canary.gates):
                raise _failed(workspace, name, made, _told(failed, reading), reading)
            return reading
        time.sleep(min(_PAUSE, max(canary.during - spent, 0.0)))


def _told(gates: tuple[Gate, ...], reading: Reading) -> str:
    values = [(gate, reading.figures[gate.name]) for gate in gates]
    return ", ".join(f"{gate} is not met ({'not known' if v is None else f'{v:.4g}'})" for gate, v in values)


def _failed(
    workspace: Workspace, name: str, made: Deployment, why: str, reading: Reading | None
) -> CanaryFailedError:
    _take_away(workspace, name)
    return CanaryFailedError(
        f"{made.model}@{made.version} is not taken for {name}: {why}",
        hint=_AS_IT_WAS.format(name),
        details={"figures": dict(reading.figures) if reading is not None else {}, "outcome": "rolled back"},
    )
