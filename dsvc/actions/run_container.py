"""Run a command in a container: what it sees of the working copy, and what the record says of the image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dsvc.actions.run_begin import ActiveRun
from dsvc.environments.machine import IMAGE
from dsvc.runs import events, hook
from dsvc.runs.container import META, Container
from dsvc.runs.journal import EventLog
from dsvc.workspace import Workspace

_PASSED = ("DSVC_RUN", "DSVC_RUN_ROOTS", "DOTSCIENCE_PROJECT_DOT_ROOT", "DOTSCIENCE_WORKLOAD_TYPE")


def container_words(
    workspace: Workspace,
    active: ActiveRun,
    container: Container,
    words: Sequence[str],
    *,
    directory: Path,
    variables: Mapping[str, str],
    names: Sequence[str],
    inputs: Sequence[bytes],
    observes: bool,
) -> list[str]:
    """Return the command line that runs `words` in the container, and note the image in the journal.

    Inside, the working copy lies at the same path, and so do declared inputs from elsewhere, which cannot be written.
    Python interpreters there are observed as here. Of the variables it has those that `names` says, and what dsvc sets:
    the name of the image, too.
    """
    with suppress(OSError):
        log = EventLog(active.journal.path)
        log.append((events.META, META, container.facts))
        log.close()
    root = os.path.realpath(workspace.root)
    outside = [os.fsdecode(path) for path in inputs if not path.startswith(os.fsencode(root) + b"/")]
    folders = [(root, True), *((path, False) for path in outside)]
    passed = [name for name in (*_PASSED, *names) if name in variables]
    if IMAGE not in names:  # what locks an environment inside cannot see it
        passed.append(f"{IMAGE}={container.name}")
    if observes:
        here = os.path.dirname(hook.__file__)
        folders.append((here, False))
        passed.append(f"PYTHONPATH={here}")
    return container.words(words, directory=os.path.realpath(directory), folders=folders, variables=passed)
