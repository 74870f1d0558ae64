"""An environment as a requirements file with the digest of each archive, as `pip install --require-hashes` wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dsvc.environments.archives import Archive
from dsvc.environments.environment import Distribution, Environment
from dsvc.environments.requirements import is_sound, requirement, requirements_text


def hashed_requirements(
    environment: Environment, digits: str, archives: Mapping[str, Sequence[Archive]]
) -> tuple[str, tuple[Distribution, ...]]:
    """Return a requirements file for `pip install --require-hashes`, and the distributions that cannot be in it.

    Those are what has no digest: folders, editable ones and commits, and what `archives` does not know.
    """
    lines, left = requirements_text(replace(environment, distributions=()), digits).splitlines(), []
    for one in {one.name: one for one in environment.distributions}.values():
        found = sorted({digest for each in archives.get(one.name, ()) if (digest := each.hashes.get("sha256"))})
        if is_sound(one) and one.source is None and found:
            lines.append(" \\\n".join([requirement(one), *(f"    --hash=sha256:{digest}" for digest in found)]))
        elif is_sound(one) and one.source is not None and one.source.kind == "archive" and one.source.hashes:
            lines.append(requirement(one))
        else:
            left.append(one)
    lines[2] = "# pip install --require-hashes --no-deps -r THIS"
    return "\n".join(lines) + "\n", tuple(left)
