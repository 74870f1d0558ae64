"""How far a branch is from what it follows, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.commands.count_text import counted

if TYPE_CHECKING:
    from dsvc.actions.distance import Distance


def distance_text(distance: Distance, *, advice: bool = True) -> str:
    """A sentence, and with `advice` the command to type next."""
    ahead, behind, name = distance.ahead, distance.behind, distance.shown
    if distance.gone:
        text, command = f"It follows {name}, which is not there (any more)", "dsvc push, or dsvc fetch"
    elif ahead and behind:
        text, command = f"It has {counted(ahead, 'commit')} that {name} has not, and lacks {behind}", "dsvc pull"
    elif ahead:
        text, command = f"It is {counted(ahead, 'commit')} ahead of {name}", "dsvc push"
    elif behind:
        text, command = f"It is {counted(behind, 'commit')} behind {name}", "dsvc pull"
    else:
        return f"It is up to date with {name}"
    return f"{text}: {command}" if advice else text


def distance_counts(distance: Distance) -> str:
    """What git puts into brackets: `ahead 1, behind 2`, `gone`, or nothing."""
    if distance.gone:
        return "gone"
    return ", ".join(f"{word} {n}" for word, n in (("ahead", distance.ahead), ("behind", distance.behind)) if n)
