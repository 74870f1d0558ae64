"""How deployments are shown to people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsvc.actions.deploy import DeployResult
from dsvc.actions.deploy_manage import DeployStatus
from dsvc.actions.deployments import FoundDeployment
from dsvc.commands.context import Context
from dsvc.commands.date_text import date_text, iso_text
from dsvc.commands.run_text import visible
from dsvc.deployments.deployment import Deployment, Spec
from dsvc.objects.ids import ObjectId

_COLORS = {
    "ready": "green", "written": "green", "waiting": "yellow", "changed": "yellow", "failed": "red", "gone": "red",
}  # fmt: skip


def print_deployments(context: Context, found: Sequence[FoundDeployment]) -> None:
    """Print deployments in columns, one a line."""
    if not found:
        context.out.note("no deployments")
        return
    rows, now = [], context.now()
    for each in found:
        one = each.deployment
        when = date_text(one.time, one.zone, style="iso", now=now)[:16]
        rows.append(
            [
                context.out.paint(one.name, "yellow"),
                str(one.number),
                f"{visible(one.model)}@{one.version}",
                one.target,
                visible(one.place),
                one.digest.partition(":")[2][:12],
                when,
                visible(one.user.partition(" <")[0]),
                _what(one),
            ]
        )
    header = ["NAME", "N", "MODEL", "TO", "PLACE", "IMAGE", "WHEN", "BY", ""]
    kept = [n for n in range(len(header)) if n < 2 or any(row[n] for row in rows)]
    context.out.table([[row[n] for n in kept] for row in rows], header=[header[n] for n in kept], right=[1])


def _what(one: Deployment) -> str:
    if one.canary_of:
        return f"canary of {one.canary_of}"
    return "back to an older one" if one.restores is not None else ""


def print_deployment(context: Context, one: Deployment, object_id: ObjectId) -> None:
    """Print all that is recorded of a deployment."""
    out, spec = context.out, one.spec
    out.line(f"deployment {out.paint(f'{one.name} {one.number}', 'yellow')}")
    rows = [
        ["Model:", f"{visible(one.model)}@{one.version}"],
        ["To:", " ".join(filter(None, (one.target, visible(one.place))))],
        ["Image:", visible(one.image)],
        ["Digest:", one.digest],
        ["Deployed:", f"{iso_text(one.time, one.zone)} by {visible(one.user)}"],
        ["Commit:", one.commit[:10]],
        ["Run:", one.labels.get("io.dsvc.run", "")[:10]],
        ["Environment:", one.environment[:10]],
        ["Replicas:", f"{spec.replicas}-{spec.most}" if spec.most else str(spec.replicas)],
        ["Canary of:", one.canary_of],
        ["Host:", visible(spec.host)],
        ["CPU:", spec.cpu],
        ["Memory:", spec.memory],
        ["GPUs:", str(spec.gpu or "")],
        ["Variables:", ", ".join(sorted(map(visible, spec.env)))],
        ["Before it:", one.previous.hex()[:10] if one.previous is not None else ""],
        ["Brings back:", one.restores.hex()[:10] if one.restores is not None else ""],
        ["Id:", object_id.hex()],
    ]
    out.table([row for row in rows if row[1]])


def print_deployed(context: Context, done: DeployResult) -> None:
    """Print what was deployed; after a dry run the files."""
    one, out = done.deployment, context.out
    if done.applied is None:
        for name, text in done.files.items():
            out.line(f"--- # {name}")
            out.raw(text.encode())
        out.note(f"{one.name} would be {one.model}@{one.version}, image {one.digest}")
        return
    for each in done.applied.changed:
        out.note(f"  {visible(each)}")
    for each in done.applied.removed:
        out.note(f"  {visible(each)} removed")
    words = {"new": "is deployed", "changed": "is deployed", "same": "was deployed just so already"}
    out.line(f"{one.name} {one.number}: {visible(one.model)}@{one.version} {words[done.outcome]}, image {one.digest}")
    if done.applied.next:
        out.note(f"next: {visible(done.applied.next)}")


def print_status(context: Context, found: DeployStatus) -> None:
    """Print how a deployment is."""
    one, status, out = found.found.deployment, found.status, context.out
    count = f" {status.ready} of {status.wanted}" if status.wanted else ""
    state = out.paint(status.state + count, _COLORS[status.state])
    out.line(f"{one.name} {one.number}: {visible(one.model)}@{one.version} on {one.target}: {state}")
    for text in (*status.addresses, *status.facts):
        out.line(f"  {visible(text)}")


def deployment_json(found: FoundDeployment) -> dict[str, Any]:
    """A deployment as an object of a JSON document."""
    one = found.deployment
    return {**_fields(one), "id": found.id.hex()}


def deployed_json(done: DeployResult) -> dict[str, Any]:
    """What a deploy did, as fields of a JSON document."""
    applied = done.applied
    return {
        **_fields(done.deployment),
        "id": done.id.hex() if done.id is not None else None,
        "outcome": done.outcome,
        "dry_run": applied is None,
        "files": dict(done.files),
        "changed": list(applied.changed) if applied is not None else [],
        "removed": list(applied.removed) if applied is not None else [],
        "next": applied.next if applied is not None else "",
        "canary": None,
    }


def status_json(found: DeployStatus) -> dict[str, Any]:
    """How a deployment is, as fields of a JSON document."""
    status = found.status
    return {
        **deployment_json(found.found),
        "state": status.state,
        "ready": status.ready,
        "wanted": status.wanted,
        "addresses": list(status.addresses),
        "facts": list(status.facts),
    }


def _fields(one: Deployment) -> dict[str, Any]:
    return {
        "name": one.name,
        "deployment": one.number,
        "target": one.target,
        "place": one.place,
        "model": one.model,
        "number": one.version,
        "model_id": one.model_id.hex(),
        "image": one.image,
        "digest": one.digest,
        "user": one.user,
        "time": iso_text(one.time, one.zone),
        "spec": _spec(one.spec),
        "labels": dict(one.labels),
        "previous": one.previous.hex() if one.previous is not None else None,
        "restores": one.restores.hex() if one.restores is not None else None,
        "canary_of": one.canary_of or None,
    }


def _spec(spec: Spec) -> dict[str, Any]:
    return {
        "replicas": spec.replicas, "most": spec.most, "env": dict(spec.env), "cpu": spec.cpu, "memory": spec.memory,
        "gpu": spec.gpu, "host": spec.host, "port": spec.port, "namespace": spec.namespace,
    }  # fmt: skip


def without_repeats(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a comparison without the files in which nothing else changes than above, and the names of these.

    Every object of a deployment says which version it belongs to: a person wants to read that once.
    """
    files: list[list[str]] = []
    for at, line in enumerate(lines):
        if line.startswith("--- ") and lines[at + 1 : at + 2] and lines[at + 1].startswith("+++ "):
            files.append([])
        files[-1].append(line)
    shown: list[str] = []
    alike: list[str] = []
    seen: set[str] = set()
    for each in files:
        changed = {line for line in each[2:] if line[0] in "+-"}
        if changed <= seen:
            alike.append(each[1].removeprefix("+++ ").partition("/")[2])
        else:
            shown += each
        seen |= changed
    return shown, alike
