"""Keep credentials out of records: by names of variables and options, by known forms, by values of the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from dsvc.config.secret_names import is_secret_name
from dsvc.objects.codec import Value

MASK: Final = "***"
SECRETS: Final = "DSVC_SECRETS"  # variable: names of further variables that hold secrets, with commas between
_SHORTEST = 6  # characters: a shorter value says nothing and would be found everywhere

_FORMS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{18,}|hf_[A-Za-z0-9]{30,}"
    r"|sk-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|A(?:KIA|SIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r")"
)
_USERINFO = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)(?=@)")
_BEARER = re.compile(r"(?i)\b(bearer|basic|token)(\s+)([A-Za-z0-9._~+/=-]{8,})")
_ASSIGNED = re.compile(r"(--?[A-Za-z][\w.-]*|[A-Za-z_][\w.-]*)(=|:\s*)(.*)", re.DOTALL)


def secret_values(environment: Mapping[str, str], words: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the values of variables that look like credentials, or that `DSVC_SECRETS` names, the longest first.

    What the `words` of a command line give as credentials is among them: programs print their arguments.
    """
    named = environment.get(SECRETS, "").split(",")
    found = {
        value
        for name, value in environment.items()
        if (is_secret_name(name) or name in named) and name != SECRETS
    }
    for shown, secret in _parted(words):
        found |= {secret} if secret is not None else _formed(shown)
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST), key=lambda text: (-len(text), text)))


def _formed(text: str) -> set[str]:
    """Return the credentials in a text that have the form of one."""
    found = {match[0] for match in _FORMS.finditer(text)} | {match[2] for match in _USERINFO.finditer(text)}
    return found | {match[3] for match in _BEARER.finditer(text)}


def _parted(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each word of a command line as what may be shown of it, and the credential at its end, None without one."""
    hidden = False
    for word in words:
        if hidden and not word.startswith("--"):
            yield "", word
            hidden = False
            continue
        assigned = _ASSIGNED.fullmatch(word)
        if assigned is not None and is_secret_name(assigned[1]):
            yield f"{assigned[1]}{assigned[2]}", assigned[3]
            hidden = False
            continue
        hidden = word.startswith("-") and "=" not in word and is_secret_name(word)
        yield word, None


class Masker:
    """Masks texts, command lines and parameters; `secrets` are values that are masked wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = tuple(secrets)

    def text(self, text: str) -> str:
        """Return a text without what looks like a credential."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        text = _FORMS.sub(MASK, text)
        text = _USERINFO.sub(rf"\1:{MASK}", text)
        return _BEARER.sub(rf"\1\2{MASK}", text)

    def words(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command line; `--api-key VALUE`, `--api-key=VALUE` and `API_KEY=VALUE` are masked."""
        return [self.text(shown) if secret is None else f"{shown}{MASK}" for shown, secret in _parted(words)]

    def value(self, name: str, value: Value) -> Value:
        """Return the value of a parameter, masked where its name or its text asks for that."""
        if is_secret_name(name) and isinstance(value, (str, bytes)) and value:
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, tuple):
            return tuple(self.value(name, item) for item in value)
        if isinstance(value, dict):
            return {key: self.value(key, item) for key, item in value.items()}
        return value


class StreamMasker:
    """Masks known values in bytes that come piece by piece, also where one of them lies in two pieces."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret.encode("utf-8", "surrogateescape") for secret in secrets]
        self._waiting = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on now."""
        if not self._secrets:
            return data
        data = self._waiting + data
        for secret in self._secrets:
            data = data.replace(secret, MASK.encode())
        keep = max((_begun(data, secret) for secret in self._secrets), default=0)
        self._waiting = data[len(data) - keep :]
        return data[: len(data) - keep]

    def finish(self) -> bytes:
        """Return what was held back."""
        rest, self._waiting = self._waiting, b""
        return rest


def _begun(data: bytes, secret: bytes) -> int:
    """Return how many of the last bytes may be the begin of a secret."""
    for length in range(min(len(secret) - 1, len(data)), 0, -1):
        if data.endswith(secret[:length]):
            return length
    return 0
