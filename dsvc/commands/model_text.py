"""How models are shown to people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from dsvc.actions.model import FoundVersion
from dsvc.commands.context import Context
from dsvc.commands.date_text import date_text, iso_text
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.run_text import plain_json, print_section, size_text, value_text, visible
from dsvc.errors import DsvcError
from dsvc.models.version import ModelVersion
from dsvc.objects.tree import EntryKind
from dsvc.runs.names import RunKey, short_key
from dsvc.runs.values import flat
from dsvc.workspace import Workspace

_METRICS = 4  # columns of a table
_INPUTS = 20  # files of training data that people are shown


def print_models(context: Context, found: Sequence[FoundVersion]) -> None:
    """Print versions in columns, one a line; the header only where people read."""
    out = context.out
    if not found:
        out.note("no models")
        return
    names = list(islice(dict.fromkeys(name for each in found for name, _ in flat(each.version.metrics)), _METRICS))
    rows, now = [], context.now()
    for each in found:
        version = each.version
        metrics = dict(flat(version.metrics))
        rows.append(
            [
                out.paint(visible(version.name), "yellow"),
                str(version.version),
                out.paint(", ".join(map(visible, each.stages)), "green"),
                visible(version.framework),
                *(value_text(metrics[name]) if name in metrics else "" for name in names),
                date_text(version.time, version.zone, style="iso", now=now)[:16],
                short_key(RunKey(version.run)) if version.run is not None else "",
                visible(version.description.partition("\n")[0]),
            ]
        )
    header = ["MODEL", "VERSION", "STAGES", "FRAMEWORK", *map(visible, names), "MADE", "RUN", "DESCRIPTION"]
    kept = [n for n, name in enumerate(header) if name in ("MODEL", "VERSION") or any(row[n] for row in rows)]
    right = [at for at, n in enumerate(kept) if n == 1 or 4 <= n < 4 + len(names)]
    out.table([[row[n] for n in kept] for row in rows], header=[header[n] for n in kept], right=right)


def print_version(context: Context, workspace: Workspace, found: FoundVersion) -> None:
    """Print all that is known of a version."""
    out, version = context.out, found.version
    stages = f"  {out.paint(', '.join(map(visible, found.stages)), 'green')}" if found.stages else ""
    out.line(f"model {out.paint(f'{visible(version.name)} {version.version}', 'yellow')}{stages}")
    framework = " ".join(filter(None, (version.framework, version.framework_version)))
    rows = [
        ["Files:", f"{quote_path(version.path)}{'/' if version.entry.kind == EntryKind.TREE else ''}"],
        ["Size:", size_text(version.entry.size)],
        ["Content:", version.entry.id.hex()],
        ["Framework:", visible(framework)],
        ["Made:", f"{iso_text(version.time, version.zone)} by {visible(version.user)}"],
        ["Run:", short_key(RunKey(version.run)) if version.run is not None else "none: nobody knows what wrote it"],
        ["Commit:", version.commit.hex()[:10] if version.commit is not None else ""],
        ["Environment:", version.environment.hex()[:10] if version.environment is not None else ""],
        ["Version id:", found.version_id.hex()],
    ]
    out.table([row for row in rows if row[1]])
    for line in ("", *version.description.splitlines()) if version.description else ():
        out.line(f"    {visible(line)}".rstrip())
    print_section(context, "Parameters", [[name, value_text(value)] for name, value in flat(version.params)])
    print_section(context, "Metrics", [[name, value_text(value)] for name, value in flat(version.metrics)])
    print_section(context, "Facts", _facts(version))
    print_section(context, "Profile", _profile(version.metadata.get("profile")))
    data, programs = _inputs(workspace, version)
    print_section(context, "Training data", data)
    print_section(context, "Programs", programs)


def _facts(version: ModelVersion) -> list[list[str]]:
    shown = {name: value for name, value in version.metadata.items() if name != "profile"}
    return [[name, value_text(value)] for name, value in flat(shown)]


def _profile(value: object) -> list[list[str]]:
    """A profile is long: its size is told, and 'dsvc model show --json' has all of it."""
    match value:
        case {"rows": int(rows), "columns": (tuple() | list()) as columns}:
            return [[f"{rows:,} rows, {len(columns)} columns"]]
    return []


def _inputs(workspace: Workspace, version: ModelVersion) -> tuple[list[list[str]], list[list[str]]]:
    """The inputs of the run that wrote it: data, and programs."""
    from dsvc.actions.blame_data import is_code
    from dsvc.actions.runs import show_run
    from dsvc.commands.run_text import pin_lines

    if version.run is None:
        return [], []
    try:
        found = show_run(workspace, RunKey(version.run), most=_INPUTS)
    except DsvcError as error:
        return [[f"unknown: {error.message}"]], []
    data = list(pin_lines(pin for pin in found.inputs if not is_code(pin.path)))
    if found.run.inputs.count > len(found.inputs):
        more = found.run.inputs.count - len(found.inputs)
        data.append([f"and {more:,} more: dsvc runs show {short_key(found.run.key)}"])
    return data, list(pin_lines(pin for pin in found.inputs if is_code(pin.path)))


def model_json(found: FoundVersion) -> dict[str, Any]:
    """A version as an object of a JSON document."""
    version = found.version
    return {
        "name": version.name,
        "number": version.version,
        "stages": list(found.stages),
        "id": found.version_id.hex(),
        **path_json(version.path),
        "is_folder": version.entry.kind == EntryKind.TREE,
        "content": version.entry.id.hex(),
        "size": version.entry.size,
        "framework": version.framework,
        "framework_version": version.framework_version,
        "description": version.description,
        "user": version.user,
        "time": iso_text(version.time, version.zone),
        "run": version.run.hex() if version.run is not None else None,
        "run_id": version.run_id.hex() if version.run_id is not None else None,
        "commit": version.commit.hex() if version.commit is not None else None,
        "environment": version.environment.hex() if version.environment is not None else None,
        "metrics": plain_json(dict(version.metrics)),
    }


def version_json(found: FoundVersion) -> dict[str, Any]:
    """The same with parameters and facts."""
    version = found.version
    told = {"params": plain_json(dict(version.params)), "facts": plain_json(dict(version.metadata))}
    return {**model_json(found), **told}
