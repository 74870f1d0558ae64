"""The `dsvc completion` command, and the answers that its scripts get.

A script calls `dsvc WORD...` with the variable _DSVC_COMPLETE set; the last word is the one to complete. Each line of
the answer is a word, a tab and its help. No line means: complete names of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import typer

from dsvc.commands.coercion import choices_of
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.commands.registry import Verb
from dsvc.config.keys import known_keys
from dsvc.refs.names import HEADS, REMOTES, TAGS

_BASH: Final = r"""
_dsvc_completion() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <(_DSVC_COMPLETE=1 "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _dsvc_completion dsvc
"""

_ZSH: Final = r"""
#compdef dsvc
_dsvc() {
    local line
    local -a lines items
    lines=("${(@f)$(_DSVC_COMPLETE=1 dsvc "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        items+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( ${#items} )); then
        _describe 'dsvc' items
    else
        _files
    fi
}
if [[ $funcstack[1] == _dsvc ]]; then
    _dsvc "$@"
else
    compdef _dsvc dsvc
fi
"""

_FISH: Final = r"""
function __dsvc_complete
    set -l before (commandline -opc)
    _DSVC_COMPLETE=1 dsvc $before[2..-1] (commandline -ct) 2>/dev/null
end
complete -c dsvc -a '(__dsvc_complete)'
"""

Candidate = tuple[str, str]
Names = Callable[[Sequence[str]], Sequence[str]]
"""Returns the names of the refs with some prefixes."""

_ALL: Final = (HEADS, TAGS, REMOTES)
_REFS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            "bisect bad", "bisect good", "bisect skip", "bisect start", "blame", "checkout", "cherry-pick", "describe",
            "diff", "export", "grep", "log", "ls", "merge", "merge-base", "rebase", "reset", "rev-parse", "revert",
            "show",
        ),
        _ALL,
    ),
    "branch": (HEADS, REMOTES),
    "reflog": (HEADS,),
    "switch": (HEADS,),
    "tag": (TAGS,),
    "verify-tag": (TAGS,),
    "worktree add": (HEADS,),
}  # fmt: skip
_REF_OPTIONS: Final = frozenset(
    {"--source", "--onto", "--contains", "--no-contains", "--merged", "--no-merged", "--points-at"}
)


def command(
    context: Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="Which shell.")],
    *,
    json: Json = False,
) -> None:
    """Print the script that makes a shell complete dsvc's commands and options.

    For bash: dsvc completion bash > ~/.local/share/bash-completion/completions/dsvc

    For zsh: dsvc completion zsh > _dsvc, in a folder of $fpath

    For fish: dsvc completion fish > ~/.config/fish/completions/dsvc.fish
    """
    script = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell].lstrip("\n")
    if json:
        context.out.json("dsvc.completion", {"shell": shell, "script": script})
    else:
        context.out.text(script)


def complete(root: Any, words: Sequence[str], *, verbs: Sequence[Verb], names_of: Names) -> list[Candidate]:
    """The words that may stand in place of the last of `words`, each with its help, from the table of verbs
    and the options that `root` and its commands declare, the refs and the settings. Only the verb that is named
    is imported.
    """
    *before, incomplete = words or [""]
    current, path, given = root, "", 0
    names: Mapping[str, str] = {verb.name: verb.help for verb in verbs}
    waiting = None
    for word in before:
        if waiting is not None:
            waiting = None
        elif word == "--":
            return []
        elif word.startswith("-") and len(word) > 1:
            waiting = _waiting(current, word)
        elif word in names:
            path = f"{path} {word}".lstrip()
            current = root.get_command(None, word) if current is root else current.commands[word]
            names = {name: sub.help.partition("\n")[0] for name, sub in getattr(current, "commands", {}).items()}
        elif current is root:
            return []
        else:
            given += 1
    found: Sequence[Candidate]
    if waiting is not None:
        found = [(choice, "") for choice in choices_of(waiting)]
        if _REF_OPTIONS.intersection(waiting.opts):
            found = _refs(incomplete, names_of(_ALL))
    elif incomplete.startswith("-"):
        found = list(_options(current))
    else:
        arguments = [param for param in current.params if param.param_type_name == "argument"]
        found = [*names.items(), *((choice, "") for param in arguments for choice in choices_of(param))]
        if path in _REFS:
            found = [*found, *_refs(incomplete, names_of(_REFS[path]))]
        elif path == "config" and not given:
            found = [(key.name, key.help) for key in known_keys()]
    return [candidate for candidate in found if candidate[0].startswith(incomplete)]


def _refs(incomplete: str, names: Sequence[str]) -> list[Candidate]:
    """The names, behind what stands before the last of them in a range."""
    begun = incomplete[: len(incomplete) - len(re.split(r"\.\.\.?|\^", incomplete)[-1])]
    return [(begun + name, "") for name in names]


def _waiting(command: Any, word: str) -> Any:
    """The option that takes its value from the word after `word`, or None."""
    for param in command.params:
        if param.param_type_name == "option" and word in param.opts and not param.is_flag and not param.count:
            return param
    return None


def _options(command: Any) -> Iterator[Candidate]:
    for param in command.params:
        if param.param_type_name == "option" and not param.hidden:
            yield from ((name, param.help or "") for name in (*param.opts, *param.secondary_opts))
    yield "--help", "Show this page."
