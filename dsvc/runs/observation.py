"""How completely it was seen what a run read and wrote."""

from __future__ import annotations

from collections.abc import Mapping

from dsvc.objects.codec import Value
from dsvc.runs.opens import Opened
from dsvc.runs.pins import Seen
from dsvc.runs.values import clean_text

_MOST = 100  # names of each kind


def observation(
    said: Mapping[str, Value], opened: Opened, how: Seen, *, compared: bool, refused: int, had_company: bool
) -> dict[str, Value]:
    """Return how complete inputs and outputs are: what was `said` at the begin and at the end, and what was seen."""
    found = dict(said)
    found["reads"] = "declared" if not opened.processes else "strace" if how == Seen.TRACED else "python"
    found["writes"] = "compared" if compared else found["reads"]
    if opened.processes:
        found["processes"] = opened.processes
    for name, names in (
        ("programs", opened.programs),
        ("libraries", {name for name, watched in opened.libraries.items() if watched}),
        ("unseen_libraries", {name for name, watched in opened.libraries.items() if not watched}),
        ("read_elsewhere", opened.read_elsewhere - opened.written_elsewhere),
        ("written_elsewhere", opened.written_elsewhere),
    ):
        if names:
            found[name] = tuple(clean_text(each.decode("utf-8", "backslashreplace")) for each in sorted(names)[:_MOST])
    if had_company:
        found["concurrent"] = True
    if refused:
        found["refused"] = refused
    return found
