"""Which stage needs which: an order in which all can run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from dsvc.pipelines.stages import BadPipelineError, Stage


def needs(stages: Sequence[Stage]) -> dict[str, frozenset[str]]:
    """Return for each stage the stages whose outputs it reads.

    Raises:
        BadPipelineError: when stages need each other in a circle.
    """
    found = {
        stage.name: frozenset(
            other.name
            for other in stages
            if other is not stage and any(_overlap(dep, out) for dep in stage.deps for out in other.written)
        )
        for stage in stages
    }
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        raise BadPipelineError(f"stages need each other in a circle: {' -> '.join(error.args[1])}") from error
    return found


def wanted(names: Iterable[str], graph: Mapping[str, frozenset[str]]) -> set[str]:
    """Return these stages and all that they need; without names all stages. `train` also names each `train@...`.

    Raises:
        BadPipelineError: for a name that no stage has.
    """
    found: set[str] = set()
    queue: list[str] = []
    for name in names:
        matching = [stage for stage in graph if stage == name or stage.startswith(f"{name}@")]
        if not matching:
            raise BadPipelineError(f"there is no stage {name}; there are: {', '.join(graph) or 'none'}")
        queue += matching
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += graph[name]
    return found or set(graph)


def _overlap(a: str, b: str) -> bool:
    return a == b or not a or not b or a.startswith(f"{b}/") or b.startswith(f"{a}/")
