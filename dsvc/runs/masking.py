"""Keep credentials out of records: by names of variables and options, by known forms, by values of the environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from dsvc.config.secret_names import is_secret_name
from dsvc.objects.codec import Value
from dsvc.runs.secret_words import MASK, SHORTEST, SecretWords

SECRETS: Final = "DSVC_SECRETS"  # variable: names of further variables that hold secrets, with commas between

_TOKENS = (
    r"(?<![A-Za-z0-9])(?:"
    r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{18,}|hf_[A-Za-z0-9]{30,}"
    r"|sk-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|A(?:KIA|SIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r")"
)
_USER = r"(?<=://)([^/\s:@\"]*):([^/\s\"]+)(?=@)"  # up to the last @: people write it into passwords as it is
# "token classification" and "basic training" are plain language, so these words count behind the name of the header.
_SCHEME = (
    r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+|\bbearer\s+(?=\S*[0-9]))"
    r"([A-Za-z0-9._~+/=-]{8,})"
)
_FORMS, _USERINFO, _BEARER = re.compile(_TOKENS), re.compile(_USER), re.compile(_SCHEME)
_BYTES = tuple(re.compile(form.encode()) for form in (_TOKENS, _USER, _SCHEME))
# Finds out fast whether there is any: each begins with letters that are looked for as a whole.
_SIGNS = tuple(
    re.compile(sign)
    for sign in (
        rb"_(?:(?<=gh[pousr]_)\w{30}|(?<=github_pat_)\w{30}|(?<=hf_)\w{30}|(?<=npm_)\w{30})",
        rb"-(?:(?<=glpat-)[\w-]{18}|(?<=sk-)[\w-]{20}|(?<=xox[abprs]-)[A-Za-z0-9-]{10}|(?<=pypi-)[\w-]{30})",
        rb"IA(?<=A[KS]IA)[0-9A-Z]{16}",
        rb"AIza[\w-]{35}",
        rb"J(?<=eyJ)[\w-]{8,}\.eyJ",
        rb"://[^/\s:@\"]*:[^/\s\"]+@",
    )
)
_SCHEMES = tuple(map(re.compile, (rb"authorization[\"'\s]*[:=]", rb"bearer\s+(?=\S*[0-9])")))
_PIECE = 1 << 20


def secret_values(
    environment: Mapping[str, str], words: Sequence[str] = (), params: Mapping[str, Value] | None = None
) -> tuple[str, ...]:
    """Return the values of variables that look like credentials, or that `DSVC_SECRETS` names, the longest first.

    What the `words` of a command line and `params` give as credentials is among them: programs print their arguments.
    """
    named = environment.get(SECRETS, "").split(",")
    found = {
        value
        for name, value in environment.items()
        if (is_secret_name(name) or name in named) and name != SECRETS
    }
    inside = SecretWords()
    for shown in inside.items(words):
        found |= _formed(shown)
    inside.value("", params or {})
    found |= inside.found
    return tuple(sorted((text for text in found if len(text) >= SHORTEST), key=lambda text: (-len(text), text)))


def _formed(text: str) -> set[str]:
    """Return the credentials in a text that have the form of one."""
    found = {match[0] for match in _FORMS.finditer(text)} | {match[2] for match in _USERINFO.finditer(text)}
    return found | {match[2] for match in _BEARER.finditer(text)}


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
        return _BEARER.sub(rf"\1{MASK}", text)

    def words(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command line; `--api-key VALUE`, `--api-key=VALUE` and `API_KEY=VALUE` are masked."""
        return [self.text(shown) for shown in SecretWords().items(words)]

    def value(self, name: str, value: Value) -> Value:
        """Return the value of a parameter, masked where its name, a name inside or its text asks for that."""
        return self._texts(SecretWords().value(name, value))

    def _texts(self, value: Value) -> Value:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, tuple):
            return tuple(map(self._texts, value))
        if isinstance(value, dict):
            return {key: self._texts(item) for key, item in value.items()}
        return value


class FormsReader:
    """Reads a stream without what has the form of a credential; lines of more than a megabyte may hide one."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._waiting = b""
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end."""
        while not self._rest:
            data = self._read(_PIECE)
            if not data:
                self._rest, self._waiting = _without_forms(self._waiting), b""
                break
            data = self._waiting + data
            end = data.rfind(b"\n") + 1 or (len(data) if len(data) > _PIECE else 0)
            self._rest, self._waiting = _without_forms(data[:end]), data[end:]
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def _without_forms(data: bytes) -> bytes:
    tokens, user, scheme = _BYTES
    if any(sign.search(data) for sign in _SIGNS):
        data = user.sub(rb"\1:***", tokens.sub(b"***", data))
    small = data.lower()
    return scheme.sub(rb"\1***", data) if any(sign.search(small) for sign in _SCHEMES) else data


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
