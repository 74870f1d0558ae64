"""Find credentials by the names they stand behind: in words of a command line, texts for a shell, JSON, parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dsvc.config.secret_names import is_secret_name, is_surely_secret_name
from dsvc.runs.secret_options import SecretOptions, masked_in_script

MASK: Final = "***"
SHORTEST: Final = 6  # characters: a shorter value says nothing and would be found everywhere

_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")
_ASSIGNED = re.compile(r"(--?[A-Za-z][\w.-]*|[A-Za-z_][\w.-]*)(=|:\s*)(.*)", re.DOTALL)
_SHELL = re.compile(r"(?:.*/)?(?:ba|da|k|z|a|fi)?sh")
# In the text of a shell: NAME=VALUE, --name=VALUE, --name VALUE, where the value is neither a variable nor a command,
# and lines of a header such as X-Api-Key: VALUE.
_IN_SCRIPT = re.compile(
    r"(?<![\w$.-])(?P<name>[A-Za-z_]\w*=|--?[A-Za-z][\w.-]*=|--[A-Za-z][\w.-]*\s+"
    r"|[A-Za-z]\w*(?:-\w+)+:\s*)"
    r"(?P<value>\"[^\"$`]+\"|'[^']+'|[^\s;&|<>()$`\"'-][^\s;&|<>()$`\"']*)"
)
_LARGEST = 1 << 20  # characters of JSON in one word
_NAMES: Final = ("name", "key")  # beside "value": variables and headers in manifests


class SecretWords:
    """Takes credentials out of words and values, and gathers in `found` what they were."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def items(self, items: Sequence[Any], *, name: str = "", certain: bool = False) -> Iterator[Any]:
        """Yield what may be shown of each word of a command line, or each item of a list, which may be such words."""
        hidden, shell, script, options = False, False, False, SecretOptions()
        for item in items:
            was_hidden, hidden, was_script, script = hidden, False, script, False
            begin = options.begins(item) if isinstance(item, str) else None
            if not isinstance(item, str):
                yield self._gone(item) if was_hidden and _is_plain(item) else self.value(name, item, certain=certain)
            elif was_hidden and not item.startswith("--"):
                yield self._gone(item)
            elif begin is not None:
                yield item[:begin] + self._gone(item[begin:])
            elif was_script:
                yield self._script(item, of_shell=True)
            else:
                shell = shell or _SHELL.fullmatch(item) is not None
                script = shell and re.fullmatch(r"-[a-z]*c", item) is not None
                hidden = _OPTION.fullmatch(item) is not None and is_secret_name(item)
                yield item if hidden else self.value(name, item, certain=certain)

    def value(self, name: str, value: Any, *, certain: bool = False) -> Any:
        """Return what may be shown of a value; `certain`: all in it is a credential, because of the name around it."""
        certain = certain or is_surely_secret_name(name)
        if isinstance(value, Mapping):
            called = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), "")
            return {
                key: self.value(called if key == "value" and is_secret_name(called) else key, item, certain=certain)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return type(value)(self.items(value, name=name, certain=certain))
        if (certain or is_secret_name(name)) and _says_something(value, 4 if certain else SHORTEST):
            return self._gone(value)
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return what may be shown of a text: `NAME=VALUE`, JSON, or a command line in one piece."""
        assigned = _ASSIGNED.fullmatch(text)
        if assigned is not None:
            name, equals, value = assigned.groups()
            if value and is_secret_name(name):
                return f"{name}{equals}{self._gone(value)}"
            if value[:1] in ("{", "[") or _ASSIGNED.fullmatch(value):
                return f"{name}{equals}{self.text(value)}"
        if text[:1] in ("{", "[") and len(text) <= _LARGEST:
            try:
                plain = json.loads(text)
                shown = self.value("", plain)
                return text if shown == plain else json.dumps(shown, ensure_ascii=False)
            except (ValueError, RecursionError):
                pass
        return self._script(text, of_shell=False) if any(map(str.isspace, text)) else text

    def _gone(self, value: object) -> str:
        if value:
            self.found.add(value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value))
        return MASK

    def _script(self, text: str, *, of_shell: bool) -> str:
        """Return what may be shown of commands for a shell, or of another text that may hold some."""

        def mask(match: re.Match[str]) -> str:
            name, value = match["name"].rstrip("=: \t\n"), match["value"]
            short = len(value) < SHORTEST and value.isdecimal()  # PASS=0 counts
            code = not of_shell and name.isidentifier() and not name.isupper() and value[0] not in "\"'"  # f(key=x)
            if short or code or not is_secret_name(name):
                return match[0]
            self._gone(value.strip("\"'"))
            return f"{match['name']}{MASK}"

        return _IN_SCRIPT.sub(mask, masked_in_script(text, self._gone))


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, bytes, int, float)) and not isinstance(value, bool)


def _says_something(value: object, digits: int) -> bool:
    """Return whether a value behind the name of a credential can be one: a number with few digits is a count."""
    if isinstance(value, (str, bytes)):
        return bool(value)
    return isinstance(value, int) and len(str(abs(value))) >= digits
