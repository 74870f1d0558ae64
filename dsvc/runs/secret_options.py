"""Find credentials behind short options, which are secret after some programs only: `curl -u USER:PASSWORD`.

After other programs `-u`, `-p` and `--user` name a user, a port or a folder, so nothing is masked there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _Options:
    """What a program takes a credential by.

    `flags` may stand before the letter in one word (`-sSu`). The credential is what follows the first `separator`, or
    all where there is none. `attached`: the value is always in the same word. `once`: another program's words follow.
    """

    letters: str
    names: tuple[str, ...] = ()
    flags: str = ""
    separator: str = ""
    attached: bool = False
    once: bool = False


_CURL: Final = _Options("uU", ("--user", "--proxy-user"), flags="#012346aBfGgIiJjkLlMNnOpqRSsvZ", separator=":")
_PASSWORD: Final = _Options("p")
_MYSQL: Final = _Options("p", attached=True)
_PROGRAMS: Final[Mapping[str, _Options]] = {
    "curl": _CURL,
    "wget": _Options("u", ("--user",), separator=":"),
    "lftp": _Options("u", ("--user",), separator=","),
    "smbclient": _Options("U", ("--user",), separator="%"),
    "redis-cli": _Options("a"),
    **dict.fromkeys(("mongo", "mongodump", "mongoexport", "mongoimport", "mongorestore", "mongosh"), _PASSWORD),
    **dict.fromkeys(("mariadb", "mariadb-dump", "mysql", "mysqladmin", "mysqldump", "mysqlimport"), _MYSQL),
    "sshpass": _Options("p", once=True),
}
_REGISTRIES: Final = frozenset(("buildah", "docker", "helm", "nerdctl", "oras", "podman", "skopeo"))  # ... login -p

# A word of a shell as it is written, or what ends a command.
_WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s;&|()<>"'\\])+|[;&|()\n]""", re.DOTALL)
_ENDS: Final = frozenset(";&|()\n")
_SINGLE = re.compile(r"'[^']*'")


class SecretOptions:
    """Is told the words of a command line one after the other."""

    def __init__(self) -> None:
        self._options: _Options | None = None
        self._registry = False
        self._awaits = False

    def begins(self, word: str) -> int | None:
        """Return where in the next word a credential begins, None where there is none."""
        options = self._options
        if options is not None and self._awaits:
            self._awaits = False
            return self._found(options, word, 0)
        program = word.rpartition("/")[2]
        if program in _PROGRAMS and "://" not in word:
            self._options = _PROGRAMS[program]
            return None
        if program in _REGISTRIES:
            self._registry = True
        elif self._registry and word == "login":
            self._options = _PASSWORD
        if options is None or not word.startswith("-"):
            return None
        if word.startswith("--"):
            name, equals, _ = word.partition("=")
            if name not in options.names:
                return None
            at = len(name) + 1 if equals else None
        else:
            cluster = re.match(f"-[{re.escape(options.flags)}]*[{options.letters}]", word)
            if cluster is None:
                return None
            at = cluster.end() if cluster.end() < len(word) else None
        if at is not None:
            return self._found(options, word, at)
        self._awaits = not options.attached
        return None

    def _found(self, options: _Options, word: str, at: int) -> int | None:
        if options.once:
            self._options = None
        return _inside(options, word, at)


def masked_in_script(text: str, gone: Callable[[str], str]) -> str:
    """Return the text of a shell in which `gone` stands for each credential; variables and commands are left alone."""
    options, parts, end = SecretOptions(), [], 0
    for match in _WORD.finditer(text):
        written = match[0]
        if written in _ENDS:
            options = SecretOptions()
            continue
        quote = next((mark for mark in "'\"" if mark in written), "")
        plain = written.replace(quote, "") if quote else written
        at = options.begins(plain)
        if at is None or any(mark in _SINGLE.sub("", written) for mark in "$`"):
            continue
        shown = plain[:at] + gone(plain[at:])
        parts += [text[end : match.start()], f"{quote}{shown}{quote}"]
        end = match.end()
    return "".join((*parts, text[end:]))


def _inside(options: _Options, word: str, at: int) -> int | None:
    """Return where the credential of a value that begins `at` begins."""
    if options.separator:
        before, separator, _ = word[at:].partition(options.separator)
        if not separator:
            return None
        at += len(before) + 1
    return at if at < len(word) else None
