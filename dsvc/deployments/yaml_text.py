"""YAML as people read it: fields in the order in which they were given, no references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def yaml_text(value: Mapping[str, Any], *, blocks: bool = False) -> str:
    """Return a value as a YAML document; with `blocks` texts of several lines stand as they are."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Repeats what stands twice instead of naming it by an anchor."""

        def ignore_aliases(self, _data: object) -> bool:
            return True

    if blocks:
        Dumper.add_representer(
            str,
            lambda dumper, text: dumper.represent_scalar(
                "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
            ),
        )
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text
