"""Which names of variables, options and parameters are likely to name a credential."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PARTS: Final = re.compile(r"[^A-Za-z0-9]+")
_ANYWHERE: Final = frozenset(
    ("secret", "secrets", "passwd", "credential", "credentials", "cookie", "cookies", "apikey", "accesskey")
)  # fmt: skip
_INSIDE: Final = ("password", "passphrase")  # of a part
_AT_THE_END: Final = frozenset(
    ("auth", "authorization", "authtoken", "dsn", "jwt", "pass", "pin", "privatekey", "session", "sessionid", "sshkey")
)  # fmt: skip
_ENDINGS: Final = ("secret", "apikey", "accesskey", "secretkey", "credentials")  # of the last part
_OF_TEXT: Final = frozenset(
    ("pad", "eos", "bos", "unk", "mask", "sep", "cls", "end", "start", "stop", "image", "max")
)  # fmt: skip
_NO_SECRET_KEYS: Final = frozenset(
    ("public", "sort", "primary", "foreign", "group", "index", "partition", "cache", "join", "column", "date", "dict",
     "feature", "features", "id", "image", "input", "item", "label", "loss", "map", "metric", "monitor", "output",
     "row", "score", "split", "state", "target", "text", "time")
)  # fmt: skip
_KINDS_OF_KEYS: Final = frozenset(("access", "api", "private", "secret", "ssh"))


def is_surely_secret_name(name: str) -> bool:
    """Say whether all that stands behind this name is a credential, whatever it is: `credentials`, `db_password`."""
    return _is_sure(_parts(name))


def is_secret_name(name: str) -> bool:
    """Say whether a variable, an option or a parameter of this name is likely to hold a credential.

    Words count, not letters: `API_KEY`, `apiKey`, `--db-password` and `HF_TOKEN_2`, but not `monkey`, `max_tokens` or
    `pin_memory`. `key` alone says nothing.
    """
    parts = _parts(name)
    if not parts:
        return False
    if _is_sure(parts):
        return True
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if last == "key":
        return bool(before) and before not in _NO_SECRET_KEYS
    if last == "keys":
        return before in _KINDS_OF_KEYS
    if last.endswith("token"):
        return (last.removesuffix("token") or before) not in _OF_TEXT
    if last in ("pwd", "pw"):
        return bool(before) and before != "old"  # PWD is where one stands
    return last in _AT_THE_END or last.endswith(_ENDINGS)


def _parts(name: str) -> list[str]:
    parts = [part.lower() for part in _PARTS.split(_CAMEL.sub("_", name)) if part]
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()
    return parts


def _is_sure(parts: Sequence[str]) -> bool:
    return not _ANYWHERE.isdisjoint(parts) or any(word in part for part in parts for word in _INSIDE)
