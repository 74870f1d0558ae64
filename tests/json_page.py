"""docs/json.md as the tests of documents read it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "json.md"


def documented() -> dict[str, tuple[int, list[str]]]:
    """Schema -> version and fields, as the page has them."""
    found: dict[str, tuple[int, list[str]]] = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        version = re.search(r"^Version (\d+),", part, re.MULTILINE)
        assert version, part
        found[part.partition("\n")[0]] = int(version[1]), re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    return found
