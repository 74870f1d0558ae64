"""The `dsvc monitor compare` command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsvc.commands.context import Context
from dsvc.commands.monitor_options import Gate, Prometheus
from dsvc.commands.monitor_text import figure_text, percent_text, plain_text
from dsvc.commands.options import Json
from dsvc.commands.run_text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsvc.actions.monitor_compare import CompareResult, Side
    from dsvc.monitoring.comparison import Difference

_SHOWN = 12  # classes of answers
_DIFFERENT = 0.01  # p below which a difference is shown as one
_TITLES = {"requests": "requests", "errors": "errors", "p50": "p50", "p99": "p99", "psi": "drift (PSI)",
           "samples": "rows in window"}  # fmt: skip


def compare(
    context: Context,
    a: Annotated[str, typer.Argument(metavar="A", help="A deployment, or a model as what it is served [@VERSION].")],
    b: Annotated[str, typer.Argument(metavar="B", help="The one that is compared with it.")],
    *,
    prometheus: Prometheus = "http://127.0.0.1:9090",
    gate: Gate = (),
    minutes: Annotated[int, typer.Option("--minutes", min=1, metavar="N", help="Compare the last N minutes.")] = 60,
    json: Json = False,
) -> int:
    """Compare two deployments, or two versions of one: requests, errors, latency, answers, drift.

    Whether errors and answers differ is tested, classes of answers by chi-squared, numbers by Kolmogorov-Smirnov: p is
    the chance of such a difference where there is none, if rows are independent.

    A gate compares a figure of B with a number, and decides the exit code, 1 when it is not met: requests, errors, p50,
    p99, psi, samples; errors_diff (B less A), p50_ratio, p99_ratio (B by A), errors_p, answers_p, answers_distance.
    """
    from dsvc.actions.monitor import parse_gate
    from dsvc.actions.monitor_compare import GATED, monitor_compare

    gates = [parse_gate(text, GATED) for text in gate]
    found = monitor_compare(prometheus, a, b, minutes=minutes, gates=gates)
    if json:
        context.out.json("dsvc.monitor.compare", _json(found))
        return int(bool(found.failed))
    header = ["", f"A: {_title(found.a)}", f"B: {_title(found.b)}", "DIFFERENCE"]
    context.out.table(list(_rows(context, found)), header=header, right=[1, 2])
    for each in found.failed:
        context.out.warn(f"not met: {each}")
    return int(bool(found.failed))


def _title(side: Side) -> str:
    versions = "" if "@" in side.name else f" ({', '.join(side.versions)})"
    return visible(side.name + versions)


def _rows(context: Context, found: CompareResult) -> Iterator[list[str]]:
    for name, title in _TITLES.items():
        old, new = found.a.figures[name], found.b.figures[name]
        note = ""
        if name == "errors":
            note = _tested(context, found.derived["errors_diff"], found.errors)
        elif name in ("p50", "p99") and (ratio := found.derived[f"{name}_ratio"]) is not None:
            note = f"{ratio:.2f} times"
        elif name == "psi":
            drifting = [(mark, s.drifting) for mark, s in (("A", found.a), ("B", found.b)) if s.figures["psi"]]
            note = ", ".join(f"{visible(column)} of {mark}" for mark, column in drifting)
        yield [title, _cell(name, old), _cell(name, new), note]
    yield from _answers(context, found)


def _answers(context: Context, found: CompareResult) -> Iterator[list[str]]:
    if found.a.mean is not None or found.b.mean is not None:
        yield ["mean answer", *(plain_text(side.mean) for side in (found.a, found.b)), _answer_note(context, found)]
        return
    totals = [sum(side.classes.values()) for side in (found.a, found.b)]
    if not any(totals):
        return
    yield ["answers", f"{totals[0]:,.0f}", f"{totals[1]:,.0f}", _answer_note(context, found)]
    sides = (found.a.classes, found.b.classes)
    names = sorted({*sides[0], *sides[1]}, key=lambda name: -sum(side.get(name, 0) for side in sides))
    for name in names[:_SHOWN]:
        shares = [side.get(name, 0) / total if total else None for side, total in zip(sides, totals, strict=True)]
        old, new = shares
        note = f"{100 * (new - old):+.1f} points" if old is not None and new is not None else ""
        yield [f"  {visible(name)}", *(percent_text(share) for share in shares), note]
    if len(names) > _SHOWN:
        yield [f"  and {len(names) - _SHOWN} more", "", "", ""]


def _answer_note(context: Context, found: CompareResult) -> str:
    if found.answers is None or found.distance is None:
        return "cannot be compared"
    kind = "JS" if found.answers.test == "chi-squared" else "KS"
    return f"{kind} distance {found.distance:.3f}, {_p(context, found.answers)}"


def _tested(context: Context, change: float | None, test: Difference | None) -> str:
    if change is None or test is None:
        return ""
    return f"{100 * change:+.2g} points, {_p(context, test)}" if change else ""


def _p(context: Context, test: Difference) -> str:
    text = f"p {test.p:.2g}" if test.p >= 1e-6 else "p < 1e-6"
    return context.out.paint(text, "yellow", "bold") if test.p < _DIFFERENT else text


def _cell(name: str, value: float | None) -> str:
    return f"{value:,.0f}" if name == "requests" and value is not None else figure_text(name, value)


def _json(found: CompareResult) -> dict[str, Any]:
    sides = {
        name: {
            "name": side.name, "versions": list(side.versions), **side.figures, "drifting": side.drifting or None,
            "answers": dict(side.classes), "mean": side.mean,
        }
        for name, side in (("a", found.a), ("b", found.b))
    }  # fmt: skip
    tests = {
        name: None if test is None else {"test": test.test, "statistic": test.statistic, "p": test.p}
        for name, test in (("errors", found.errors), ("answers", found.answers))
    }
    failed = [str(gate) for gate in found.failed]
    return {**sides, "tests": tests, "derived": dict(found.derived), "failed": failed, "ok": not failed}
