"""What `dsvc remote check` says: a table for people, a document for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from dsvc.actions.remote_check import RemoteCheckResult
from dsvc.commands.context import Context
from dsvc.commands.entry_text import human_size
from dsvc.remotes.check.checking import Check, Latency, Throughput

_WIDTH: Final = 80
_MARKS: Final = {"passed": ("ok", "green"), "failed": ("FAILED", "red"), "skipped": ("left out", "yellow")}
_INDENT: Final = " " * 4


def show_check(context: Context, result: RemoteCheckResult) -> None:
    """Print what was found out, within 80 columns."""
    out, report = context.out, result.report
    out.line(out.paint(result.remote.shown, "bold"))
    if result.address != result.remote.shown:
        out.line(f"  {result.address}")
    out.line()
    for check in report.checks:
        _show_one(context, check)
    if report.latency:
        out.line()
        _rows(context, ("latency", "median", "9 of 10 within"), [
            (f"small {name}", _milliseconds(found.median), _milliseconds(found.p90))
            for name, found in report.latency.items()
        ])  # fmt: skip
    moved = [(name, found) for name, found in (("up", report.up), ("down", report.down)) if found is not None]
    if moved:
        out.line()
        _rows(context, ("throughput", "a second", f"{moved[0][1].parallel} at a time"), [
            (name, human_size(int(found.rate)), f"{human_size(found.size)} moved") for name, found in moved
        ])  # fmt: skip
    if report.clock_skew is not None:
        out.line()
        out.line(f"  clock there: {_skew(*report.clock_skew)}")
    out.line()
    failed = sum(check.outcome == "failed" for check in report.checks)
    if failed:
        out.line(out.paint(f"{failed} of {len(report.checks)} checks failed: do not keep a repository there", "red"))
    else:
        out.line(out.paint("This place does what a repository needs", "green"))


def _show_one(context: Context, check: Check) -> None:
    mark, color = _MARKS[check.outcome]
    seconds = f"{check.seconds:.2f} s"
    context.out.line(f"  {check.name:<20}{context.out.paint(f'{mark:<10}', color)}{seconds:>9}")
    if check.message:
        for line in textwrap.wrap(check.message, _WIDTH - len(_INDENT), break_on_hyphens=False):
            context.out.line(_INDENT + line)


def _rows(context: Context, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for number, (name, *cells) in enumerate([tuple(header), *map(tuple, rows)]):
        line = f"  {name:<16}" + "".join(f"{cell:>18}" for cell in cells)
        context.out.line(context.out.paint(line, "bold") if not number else line)


def _milliseconds(seconds: float) -> str:
    digits = 0 if seconds >= 0.1 else 1 if seconds >= 0.001 else 3
    return f"{seconds * 1000:.{digits}f} ms"


def _skew(seconds: float, error: float) -> str:
    if abs(seconds) <= error:
        return f"the same as here, within {max(error, 0.1):.1f} s"
    return f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this one, within {max(error, 0.1):.1f} s"


def check_json(result: RemoteCheckResult) -> dict[str, Any]:
    """The fields of the document; times in seconds, rates in bytes a second."""
    report = result.report
    skew = report.clock_skew
    return {
        "remote": result.remote.name,
        "address": result.address,
        "passed": report.passed,
        "checks": [
            {
                "name": check.name,
                "outcome": check.outcome,
                "seconds": round(check.seconds, 6),
                "message": check.message or None,
            }
            for check in report.checks
        ],
        "latency": {name: _latency(found) for name, found in report.latency.items()} or None,
        "throughput": {"up": _throughput(report.up), "down": _throughput(report.down)},
        "conditional_writes": report.conditional_writes,
        "clock_skew": None if skew is None else {"seconds": round(skew[0], 3), "error": round(skew[1], 3)},
        "removed": report.removed,
    }


def _latency(found: Latency) -> dict[str, Any]:
    return {"median": round(found.median, 6), "p90": round(found.p90, 6), "count": found.count}


def _throughput(found: Throughput | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"bytes_per_second": round(found.rate), "bytes": found.size, "parallel": found.parallel}
