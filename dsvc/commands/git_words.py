"""Words of git that dsvc does not have, and what does here what they do there."""

from __future__ import annotations

from typing import Final

VERBS: Final = {
    "am": "dsvc has no patches by mail: dsvc bundle carries commits in a file",
    "annotate": "dsvc blame",
    "apply": "patch -p1 < FILE, then dsvc commit",
    "archive": "dsvc export REV DEST",
    "cat-file": "dsvc cat REV:PATH, dsvc show",
    "cherry": "dsvc log --oneline UPSTREAM..",
    "count-objects": "dsvc fsck counts objects and bytes, dsvc gc removes what nothing needs",
    "diff-tree": "dsvc diff --name-status A B",
    "difftool": "dsvc diff",
    "fast-export": "dsvc git export REPO",
    "fast-import": "dsvc git import REPO",
    "filter-branch": "dsvc purge takes content out of all of history",
    "filter-repo": "dsvc purge takes content out of all of history",
    "for-each-ref": "dsvc branch --format TEXT, dsvc tag --format TEXT",
    "format-patch": "dsvc show REV > FILE; dsvc bundle carries commits in a file",
    "hash-object": "dsvc add PATH stores content; b3sum PATH prints its id",
    "lfs": "nothing is needed for large files: dsvc commit takes them",
    "ls-files": "dsvc ls -r; dsvc status lists new and changed files",
    "ls-tree": "dsvc ls REV",
    "maintenance": "dsvc gc; the store keeps itself in order after commits",
    "mergetool": "dsvc resolve --tool",
    "name-rev": "dsvc describe",
    "notes": "dsvc tag -a NAME REV -m TEXT keeps a text beside a commit",
    "pack-refs": "nothing is needed: refs are kept together",
    "prune": "dsvc gc",
    "range-diff": "dsvc log -p A..B shows each of the two",
    "repack": "dsvc gc",
    "request-pull": "dsvc request open",
    "rev-list": "dsvc log --format=%H",
    "shortlog": "dsvc log --format=%an | sort | uniq -c",
    "show-branch": "dsvc log --oneline --graph --all",
    "show-ref": "dsvc branch -a -v, dsvc tag",
    "sparse-checkout": "dsvc sparse",
    "stage": "dsvc add",
    "submodule": "dsvc has no submodules: commit the files, or import data with dsvc import-url",
    "symbolic-ref": "dsvc branch --show-current",
    "update-index": "there is no staging area: dsvc commit takes all changes",
    "update-ref": "dsvc branch -f NAME REV, dsvc tag -f NAME REV",
    "whatchanged": "dsvc log --name-status",
}
"""By verb."""

_SUBVERBS: Final = {
    "bisect visualize": "dsvc log --oneline GOOD..BAD",
    "remote rm": "dsvc remote remove NAME",
    "stash branch": "dsvc switch -c NAME, then dsvc stash pop",
    "stash create": "dsvc stash, then dsvc stash apply",
    "stash save": "dsvc stash -m MESSAGE",
    "worktree move": "dsvc worktree remove, then dsvc worktree add",
}

_NO_STAGING: Final = "there is no staging area: leave it out"
_EDIT_HISTORY: Final = (
    "'dsvc commit --amend' changes the last commit; 'dsvc reset REV' keeps the files, to be committed anew"
)

_COMES_ALONG: Final = "changes come along where nothing else touches them; else dsvc stash, switch, dsvc stash pop"

_OPTIONS: Final = {
    "--cached": _NO_STAGING,
    "--staged": _NO_STAGING,
    "--color": "it stands before the verb: dsvc --color always ...",
    "--no-color": "it stands before the verb: dsvc --color never ...",
    "add -N": "nothing is needed: a commit takes new files, and dsvc diff shows them",
    "add -u": "dsvc add takes changed files anyway, and dsvc commit without it",
    "blame --porcelain": "dsvc blame --json",
    "checkout --orphan": "a history of its own begins with 'dsvc init' in a folder of its own",
    "checkout --ours": "dsvc resolve --ours PATH",
    "checkout --theirs": "dsvc resolve --theirs PATH",
    "checkout -m": _COMES_ALONG,
    "checkout --merge": _COMES_ALONG,
    "checkout -t": "dsvc switch BRANCH makes a branch that follows origin/BRANCH",
    "checkout --track": "dsvc switch BRANCH makes a branch that follows origin/BRANCH",
    "clone --bare": "an empty folder becomes a copy by 'dsvc remote add NAME FOLDER' and 'dsvc push NAME --all'",
    "clone --mirror": "an empty folder becomes a copy by 'dsvc remote add NAME FOLDER' and 'dsvc push NAME --all'",
    "commit --date": "DSVC_DATE=... dsvc commit",
    "commit --fixup": _EDIT_HISTORY,
    "commit --squash": _EDIT_HISTORY,
    "commit --reset-author": "dsvc commit --amend --author 'NAME <EMAIL>'",
    "commit -C": "dsvc commit -m \"$(dsvc log -1 --format=%B REV)\"",
    "commit -e": "leave out -m and the editor opens",
    "commit -o": "dsvc commit PATH... takes only these",
    "commit -u": "a commit takes new files anyway; dsvc status lists them",
    "config --add": "dsvc config KEY VALUE sets it",
    "config --get-all": "dsvc config KEY",
    "config --get-regexp": "dsvc config --list | grep ...",
    "config --system": "dsvc config --global KEY VALUE",
    "config --unset-all": "dsvc config --unset KEY",
    "diff -b": "dsvc diff -w",
    "diff --no-index": "diff -u A B",
    "diff --raw": "dsvc diff --name-status",
    "gc --auto": "nothing is needed: commits keep the store in order (gc.auto)",
    "gc --aggressive": "dsvc gc",
    "grep --untracked": "new files are searched once they were added: dsvc add PATH",
    "grep -I": "binary files are left out anyway",
    "grep -r": "folders are searched anyway",
    "init --bare": "any empty folder will do: 'dsvc remote add origin FOLDER' and 'dsvc push' make it a repository",
    "log -L": "dsvc blame -L A,B FILE; dsvc log -p FILE",
    "log -g": "dsvc reflog",
    "log --walk-reflogs": "dsvc reflog",
    "log --not": "put ^ before the revision",
    "log --relative-date": "dsvc log --date=relative",
    "merge -s": "dsvc merge -X ours (or -X theirs) takes that side where both changed the same",
    "merge --strategy": "dsvc merge -X ours (or -X theirs) takes that side where both changed the same",
    "rebase -i": _EDIT_HISTORY,
    "rebase --interactive": _EDIT_HISTORY,
    "rebase --autosquash": _EDIT_HISTORY,
    "reset -p": "dsvc restore PATH",
    "reset --patch": "dsvc restore PATH",
    "reset --merge": "dsvc reset --keep, or dsvc merge --abort",
    "restore -S": _NO_STAGING,
    "restore -W": "files of the working copy are what it restores: leave it out",
    "restore --worktree": "files of the working copy are what it restores: leave it out",
    "rev-parse --git-dir": "dsvc rev-parse --dsvc-dir",
    "stash -k": _NO_STAGING,
    "stash --keep-index": _NO_STAGING,
    "stash -a": "ignored files stay where they are",
    "stash --all": "ignored files stay where they are",
    "status --ignored": "dsvc clean -X -n lists ignored files",
    "switch --orphan": "a history of its own begins with 'dsvc init' in a folder of its own",
    "switch -m": _COMES_ALONG,
    "switch --merge": _COMES_ALONG,
    "switch -t": "dsvc switch BRANCH makes a branch that follows origin/BRANCH",
    "switch --track": "dsvc switch BRANCH makes a branch that follows origin/BRANCH",
}
"""By verb and option, and by option alone."""

_BY_FILE: Final = {"add", "checkout", "clean", "commit", "restore", "stash", "stash push"}
_PIECEWISE: Final = {"-i", "--interactive", "-p", "--patch"}


def option_hint(verb: str, option: str) -> str | None:
    """Say what is done in place of an option of git that `verb` has not."""
    if option in _PIECEWISE and verb in _BY_FILE:
        return "changes are taken file by file: name the PATHs"
    return _OPTIONS.get(f"{verb} {option}") or (_OPTIONS.get(option) if verb else None)


def subverb_hint(verb: str, name: str) -> str | None:
    """Say what is done in place of a verb below `verb` that git has."""
    return _SUBVERBS.get(f"{verb} {name}")
