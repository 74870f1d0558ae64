"""YAML as people read it: fields in the order in which they were given, no references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def yaml_text(value: Mapping[str, Any]) -> str:
    """Return a value as a YAML document."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Repeats what stands twice instead of naming it by an anchor."""

        def ignore_aliases(self, _data: object) -> bool:
            return True

    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text
