"""The `dsvc completion` command, and the answers that its scripts get.

A script calls `dsvc WORD...` with the variable _DSVC_COMPLETE set; the last word is the one to complete. Each line of
the answer is a word, a tab and its help. No line means: complete names of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import typer

from dsvc.commands.coercion import choices_of
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.commands.registry import Verb

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


def complete(root: Any, words: Sequence[str], *, verbs: Sequence[Verb]) -> list[Candidate]:
    """The words that may stand in place of the last of `words`, each with its help, from the table of verbs
    and the options that `root` and its commands declare. Only the verb that is named is imported.
    """
    *before, incomplete = words or [""]
    current = root
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
            current = root.get_command(None, word) if current is root else current.commands[word]
            names = {name: sub.help.partition("\n")[0] for name, sub in getattr(current, "commands", {}).items()}
        elif current is root:
            return []
    found: Sequence[Candidate]
    if waiting is not None:
        found = [(choice, "") for choice in choices_of(waiting)]
    elif incomplete.startswith("-"):
        found = list(_options(current))
    else:
        arguments = [param for param in current.params if param.param_type_name == "argument"]
        found = [*names.items(), *((choice, "") for param in arguments for choice in choices_of(param))]
    return [candidate for candidate in found if candidate[0].startswith(incomplete)]


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
