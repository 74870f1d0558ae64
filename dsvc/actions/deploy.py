"""Deploy a model: build its image, hand it to a place, record what is where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dsvc.actions.build import BuildOptions, BuildResult, push_image
from dsvc.actions.deploy_alone import alone_with
from dsvc.actions.deploy_image import FoundImage, image_of, with_environment
from dsvc.actions.deploy_place import (
    check_target,
    folder_of,
    image_name,
    open_place,
    package_of,
    place_of,
    wait_until_ready,
)
from dsvc.actions.deployments import (
    FoundDeployment,
    UnknownDeploymentError,
    find_deployment,
    find_model_to_serve,
    history_of,
)
from dsvc.actions.model import FoundVersion, find_model
from dsvc.actions.model_trust import unsigned_code
from dsvc.actions.run_begin import user_of
from dsvc.deployments.deployment import Deployment, Spec, Target, encode_deployment
from dsvc.deployments.feedback import SHARE, WHERE, WITH_VOLUMES, log_variables
from dsvc.deployments.files import files_of
from dsvc.deployments.names import check_deployment_name, deployment_ref, name_for
from dsvc.deployments.place import Applied
from dsvc.deployments.quantities import bytes_of, cores_of
from dsvc.errors import RequestError, UsageError
from dsvc.images.transfer import Sent
from dsvc.objects.ids import Kind, ObjectId
from dsvc.refs.moved import RefMovedError
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace

Outcome = Literal["new", "changed", "same"]
_QUIET: Callable[[str], None] = lambda _line: None  # noqa: E731


class NothingBeforeError(RequestError):
    """A deployment that was never another one."""


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """What of a deployment is said anew; None stands for what it had before, else for what is usual.

    `env` is added to the variables that it had; a name that stands in `without` is taken away. `place` is a folder for
    files. `registry` is where the image is pushed; an empty text: nowhere. `log_predictions` is the share of requests
    that servers keep in their volume, 0 for none. `metadata` is recorded as it is. `image_of` is a deployment of the
    same version whose image is taken as it is, where it is to be had.
    """

    build: BuildOptions
    target: Target | None = None
    name: str | None = None
    place: str | None = None
    registry: str | None = None
    replicas: int | None = None
    most: int | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    without: Iterable[str] = ()
    cpu: str | None = None
    memory: str | None = None
    gpu: int | None = None
    host: str | None = None
    port: int | None = None
    namespace: str | None = None
    log_predictions: float | None = None
    reset: bool = False
    wait: int | None = None
    dry_run: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    image_of: Deployment | None = None


@dataclass(frozen=True, slots=True)
class DeployResult:
    """What is deployed now: `outcome` says whether it is another than before, `files` what was written or applied.

    `built` is how the image was built, None where it was there. `sent` is what a registry was sent, None without one.
    After a dry run `id` is None, and nothing was done.
    """

    deployment: Deployment
    id: ObjectId | None
    outcome: Outcome
    files: Mapping[str, str]
    applied: Applied | None
    built: BuildResult | None = None
    sent: Sent | None = None


def deploy(
    workspace: Workspace, model: str, options: DeployOptions, *, tell: Callable[[str], None] = _QUIET
) -> DeployResult:
    """Bring a version of a model to a place.

    The image is built and pushed first, then the place is told, and at last the ref moves: a command that was broken
    off is completed by the same one again. What is deployed just so already is not recorded twice.

    Raises:
        What `build` and `push_image` raise. UsageError, BadDeploymentNameError, BadQuantityError: for what makes no
            sense. DeployingError, BroughtAtOnceError: when another command is at the same deployment. NeverReadyError:
            with `wait`, when it was not ready in that time; it is recorded all the same.
    """
    instead = lambda made: f"dsvc deploy {made.model} --name {made.name}"  # noqa: E731
    found = find_model_to_serve(workspace, model, instead)
    name = check_deployment_name(options.name or name_for(found.version.name))
    if options.dry_run:
        return _deploy(workspace, model, found, name, options, tell=tell)
    with alone_with(workspace, name):
        done = _deploy(workspace, model, found, name, options, tell=tell)
    return _awaited(workspace, done, options.wait)


def _deploy(
    workspace: Workspace,
    model: str,
    found: FoundVersion,
    name: str,
    options: DeployOptions,
    *,
    tell: Callable[[str], None],
) -> DeployResult:
    version = found.version
    before = _before(workspace, name)
    stays = before.deployment if before is not None and not options.reset else None
    image = image_of(
        workspace, found, with_environment(options.build, found, stays), before=options.image_of, tell=tell
    )
    target = options.target or (before.deployment.target if before is not None else None)
    if target is None:
        raise UsageError(
            f"there is no deployment {name} yet: where to?", hint=f"dsvc deploy {model} --to manifest, k8s, docker, ..."
        )
    same_target = before is not None and before.deployment.target == target
    spec = spec_of(options, before.deployment.spec if before is not None and not options.reset else Spec())
    registry = options.registry
    if registry is None:
        registry = _registry_before(before) if same_target else None
        registry = registry if registry is not None else workspace.config.get_str("build.registry") or ""
    old_place = before.deployment.place if before is not None and same_target else None
    place = place_of(workspace, target, name, options.place, old_place, directory=options.build.directory)
    check_target(target, spec)
    if "DSVC_SERVE_ALLOW_PICKLE" not in spec.env and (code := unsigned_code(workspace, found)):
        tell(
            f"{code} runs code that nobody signed, so that no server of {name} will start:"
            " sign it, or --env DSVC_SERVE_ALLOW_PICKLE=1"
        )
    if options.log_predictions and target not in WITH_VOLUMES:
        raise UsageError(
            f"by {target} there is no volume into which servers could log",
            hint=f"add one to the pods, and say --env {SHARE}={options.log_predictions:g} --env {WHERE}=FOLDER",
        )
    time, zone = workspace.time()
    made = Deployment(
        name=name,
        number=before.deployment.number + 1 if before is not None else 1,
        target=target,
        model=version.name,
        version=version.version,
        model_id=found.version_id,
        image=image_name(image.made, registry, target),
        digest=image.made.image.digest,
        user=user_of(workspace),
        time=time,
        zone=zone,
        place=place,
        spec=spec,
        labels={key: value for key, value in image.made.image.annotations.items() if key.startswith("io.dsvc.")},
        previous=before.id if before is not None else None,
        metadata={**options.metadata, **({"registry": registry} if registry else {})},
    )
    if options.dry_run:
        files = files_of(made, folder=folder_of(workspace, made))
        return DeployResult(made, None, _outcome(made, before), files, None, image.built)
    sent = push_image(workspace, image.made, registry)[1] if registry else None
    return _carry_out(workspace, made, before, image, sent, waits=options.wait is not None, tell=tell)


def rollback(
    workspace: Workspace,
    name: str,
    options: BuildOptions,
    *,
    to: int | None = None,
    wait: int | None = None,
    tell: Callable[[str], None] = _QUIET,
) -> DeployResult:
    """Deploy again what was deployed before, or as number `to`; the image is that one, as long as it is to be had.

    Raises:
        UnknownDeploymentError. NothingBeforeError: when there was nothing before. What `deploy` raises.
    """
    with alone_with(workspace, find_deployment(workspace, name).deployment.name):
        done = _rollback(workspace, name, options, to=to, waits=wait is not None, tell=tell)
    return _awaited(workspace, done, wait)


def _rollback(
    workspace: Workspace,
    name: str,
    options: BuildOptions,
    *,
    to: int | None,
    waits: bool,
    tell: Callable[[str], None],
) -> DeployResult:
    found = find_deployment(workspace, name)
    older = _older(workspace, found, to)
    one = older.deployment
    image = image_of(workspace, find_model(workspace, f"{one.model}@{one.version}"), options, before=one, tell=tell)
    registry = str(one.metadata.get("registry") or "")
    sent = push_image(workspace, image.made, registry)[1] if registry else None
    time, zone = workspace.time()
    made = replace(
        one, number=found.deployment.number + 1, user=user_of(workspace), time=time, zone=zone,
        image=image_name(image.made, registry, one.target), digest=image.made.image.digest, previous=found.id,
        restores=older.id,
    )  # fmt: skip
    return _carry_out(workspace, made, found, image, sent, waits=waits, tell=tell)


def _carry_out(
    workspace: Workspace,
    made: Deployment,
    before: FoundDeployment | None,
    image: FoundImage,
    sent: Sent | None,
    *,
    waits: bool,
    tell: Callable[[str], None],
) -> DeployResult:
    place = open_place(workspace, made.target)
    if waits and not place.starts:
        raise UsageError(f"--wait has nothing to wait for: {made.target} writes files, and starts nothing")
    package = package_of(workspace, made, image.made)
    older = before.deployment if before is not None else None
    if made.target in ("k8s", "kserve", "manifest") and not made.metadata.get("registry"):
        tell(f"the image {made.image} is at no registry, from which a cluster could fetch it: --registry REGISTRY")
    applied = place.apply(made, package, older)
    if older is not None and _where(older) != _where(made):
        open_place(workspace, older.target).remove(older)
        tell(f"{made.name} was taken away from where it was: {older.target} {older.place}".rstrip())
    outcome = _outcome(made, before)
    if outcome == "same" and before is not None:
        found = before
    else:
        try:
            found = _publish(workspace, made)
        except RefMovedError as error:
            # The place is told first: what it runs now may be this one or the other.
            raise RefMovedError(
                deployment_ref(made.name), hint=f"dsvc deploy status {made.name}; the same command again brings yours"
            ) from error
    return DeployResult(found.deployment, found.id, outcome, package.files, applied, image.built, sent)


def _awaited(workspace: Workspace, done: DeployResult, wait: int | None) -> DeployResult:
    """Return what was deployed when it is ready; by now other commands may change it."""
    if wait is not None and done.id is not None:
        wait_until_ready(open_place(workspace, done.deployment.target), done.deployment, wait)
    return done


def _where(one: Deployment) -> tuple[str, str, str]:
    return one.target, one.place, one.spec.namespace


def _publish(workspace: Workspace, made: Deployment) -> FoundDeployment:
    object_id = workspace.repo.store.put(Kind.RUN, encode_deployment(made))
    transaction = workspace.repo.transaction()
    transaction.require(deployment_ref(made.name))
    transaction.set(deployment_ref(made.name), Direct(Kind.RUN, object_id))
    what = f"{made.name} is {made.model} {made.version} by {made.target}"
    verb = "deploy rollback" if made.restores is not None else "deploy"
    workspace.publish(transaction, workspace.act(verb, f"{verb}: {what}"))
    return FoundDeployment(made, object_id)


def _before(workspace: Workspace, name: str) -> FoundDeployment | None:
    try:
        return find_deployment(workspace, name)
    except UnknownDeploymentError:
        return None


def _registry_before(before: FoundDeployment | None) -> str | None:
    return str(before.deployment.metadata.get("registry") or "") if before is not None else None


def _outcome(made: Deployment, before: FoundDeployment | None) -> Outcome:
    if before is None:
        return "new"
    told = replace(
        made, number=before.deployment.number, user=before.deployment.user, time=before.deployment.time,
        zone=before.deployment.zone, previous=before.deployment.previous, restores=before.deployment.restores,
    )  # fmt: skip
    return "same" if told == before.deployment else "changed"


def _older(workspace: Workspace, found: FoundDeployment, to: int | None) -> FoundDeployment:
    """Return what was deployed before; behind one that was brought back it is what was before that one."""
    past = list(history_of(workspace, found))
    if to is not None:
        for each in past[1:]:
            if each.deployment.number == to:
                return each
        there = ", ".join(str(each.deployment.number) for each in past[1:]) or "none"
        raise NothingBeforeError(f"{found.deployment.name} has no deployment {to} before this one; there is: {there}")
    at = next((each for each in past if each.id == found.deployment.restores), found)
    for each in past[past.index(at) + 1 :]:
        return each
    raise NothingBeforeError(
        f"{found.deployment.name} was never another one", hint=f"dsvc deploy list {found.deployment.name} shows them"
    )


def spec_of(options: DeployOptions, before: Spec) -> Spec:
    """Return the settings of a deployment that had others before.

    Raises:
        UsageError, BadQuantityError: for what makes no sense.
    """
    without, told_env = set(options.without), dict(options.env)
    if options.log_predictions is not None:
        if not 0 <= options.log_predictions <= 1:
            raise UsageError(f"--log-predictions {options.log_predictions:g} is no share from 0 to 1")
        without |= {SHARE, WHERE}
        told_env |= log_variables(options.log_predictions) if options.log_predictions else {}
    env = {name: value for name, value in before.env.items() if name not in without}
    named = ("replicas", "most", "cpu", "memory", "gpu", "host", "port", "namespace")
    told = {name: getattr(options, name) for name in named if getattr(options, name) is not None}
    if options.replicas is not None and options.most is None:
        told["most"] = 0
    spec = replace(before, env={**env, **told_env}, **told)
    if spec.cpu:
        cores_of(spec.cpu)
    if spec.memory:
        bytes_of(spec.memory)
    if spec.most and spec.most < spec.replicas:
        raise UsageError(f"--replicas {spec.replicas}-{spec.most} ends below where it begins")
    return spec
