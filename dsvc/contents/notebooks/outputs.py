"""What cells printed, in the forms in which it is compared and shown."""

from __future__ import annotations

import json
from typing import Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.notebooks.model import Json, joined
from dsvc.contents.sizes import size_text

_VOLATILE = ("execution_count", "prompt_number", "metadata", "output_type")
_OLD_KINDS = {"pyout": "execute_result", "pyerr": "error"}
_OLD_MIME = {
    "text": "text/plain",
    "html": "text/html",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "svg": "image/svg+xml",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
}


def content_of(output: Json) -> Json:
    """Return what an output shows, without counters: outputs that show the same are equal."""
    return {key: value for key, value in output.items() if key not in ("execution_count", "prompt_number")}


def data_of(output: Json) -> dict[str, Any]:
    """Return an output's content by type of content, in the words of format 4."""
    kind = _OLD_KINDS.get(str(output.get("output_type")), str(output.get("output_type")))
    if kind == "stream":
        return {"text/plain": output.get("text", "")}
    if kind == "error":
        lines = output.get("traceback")
        if isinstance(lines, list) and lines and all(isinstance(line, str) for line in lines):
            return {"text/plain": _plain("\n".join(lines)) + "\n"}
        return {"text/plain": f"{output.get('ename')}: {output.get('evalue')}\n"}
    data = output.get("data")
    if isinstance(data, dict):
        return data
    return {_OLD_MIME.get(key, key): value for key, value in output.items() if key not in _VOLATILE}


def lines_of(outputs: list[Json]) -> str:
    """Return outputs as text: each by its plain text, images and the like by their type and size."""
    parts = []
    for output in outputs:
        data = data_of(output)
        images = [mime for mime in data if mime.startswith(("image/", "audio/", "video/"))]
        parts += [f"<{mime}, {_size(data[mime])}, {_print(data[mime])}>" for mime in images]
        if images:
            continue
        plain = next((mime for mime in ("text/plain", "text/markdown", "text/latex") if mime in data), None)
        if plain is not None:
            try:
                parts.append(_plain(joined(data[plain])).removesuffix("\n"))
                continue
            except UnfitError:
                pass
        parts += [f"<{mime}, {_size(value)}, {_print(value)}>" for mime, value in data.items()]
    return "".join(part + "\n" for part in parts)


def image_of(output: Json) -> tuple[str, str] | None:
    """Return type and content (base64, or the text of an SVG) of an output that is an image."""
    data = data_of(output)
    for mime in ("image/png", "image/jpeg", "image/gif", "image/svg+xml"):
        value = data.get(mime)
        if isinstance(value, str | list):
            return mime, joined(value)
    return None


def _plain(text: str) -> str:
    if "\x1b" not in text:
        return text
    import re

    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def _text(value: object) -> str:
    try:
        return joined(value)
    except UnfitError:
        return json.dumps(value, sort_keys=True)


def _size(value: object) -> str:
    text = _text(value)
    return size_text(len(text) * 3 // 4 if " " not in text[:200] else len(text))


def _print(value: object) -> str:
    from blake3 import blake3

    return blake3(_text(value).encode("utf-8", "surrogatepass")).hexdigest(4)
