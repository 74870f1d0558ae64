"""The `dsvc doctor` command."""

from __future__ import annotations

from dsvc.actions.doctor import doctor
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet

_COLOURS = {"ok": "green", "warn": "yellow", "bad": "red"}


def command(context: Context, *, quiet: Quiet = False, json: Json = False) -> int | None:
    """Check the installation and the repository for problems.

    Quick: libraries, settings, identity, the disk and what it can do, the repository's head and packs, what killed
    commands left behind. Says what to do about each problem, and exits with 1 when one must be mended. It changes
    nothing; 'dsvc fsck' reads everything that is stored.
    """
    result = doctor(
        context.directory,
        load_config=context.config,
        identity=context.identity,
        now=int(context.now().timestamp() * 1_000_000),
    )
    if json:
        context.out.json(
            "dsvc.doctor",
            {
                "bad": result.is_bad(),
                "checks": [
                    {"name": c.name, "level": c.level, "text": c.text, "hint": c.hint} for c in result.checks
                ],
            },
        )
        return 1 if result.is_bad() else None
    shown = [check for check in result.checks if not quiet or check.level != "ok"]
    context.out.table([(context.out.paint(f"{c.level:<4}", _COLOURS[c.level]), c.name, c.text) for c in shown])
    for check in shown:
        if check.level != "ok" and check.hint:
            context.out.line(f"{check.name}: {check.hint}")
    return 1 if result.is_bad() else None
