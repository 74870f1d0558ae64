"""The table of verbs: what `dsvc --help` lists and where each verb's module is."""

from __future__ import annotations

import importlib.util
from typing import Final, NamedTuple


class Verb(NamedTuple):
    """One verb of the command line; its module is imported only when the verb is called."""

    name: str
    section: str
    help: str

    @property
    def module(self) -> str:
        """The dotted name of the module that holds the verb."""
        return "dsvc.commands." + self.name.replace("-", "_")


_SECTIONS: Final = {
    "Start": {
        "init": "Create a repository in a folder",
        "clone": "Copy a repository from a remote",
        "fork": "Make a repository that shares stored objects with another",
        "git": "Bring a git history in, or write one",
    },
    "Work on files": {
        "status": "Show what changed since the last commit",
        "add": "Store the content of files ahead of a commit",
        "import-url": "Import from a bucket or a web server, by copy or by reference",
        "rm": "Remove files from the working copy",
        "mv": "Move or rename a file or folder",
        "restore": "Give files the content of a commit",
        "clean": "Remove files that are not in the last commit",
        "sparse": "Choose which folders are checked out",
        "check-ignore": "Say which rule ignores a path",
    },
    "Record and combine": {
        "commit": "Record the working copy as a commit",
        "branch": "List, create, rename or delete branches",
        "switch": "Go to another branch",
        "checkout": "Go to a branch or give files the content of a commit",
        "merge": "Join another line of history into this one",
        "resolve": "Settle conflicts",
        "rebase": "Put commits on top of another commit",
        "cherry-pick": "Apply the change of a commit here",
        "revert": "Make a commit that takes another one back",
        "stash": "Put changes aside and take them up again",
        "tag": "List, create or delete tags",
        "worktree": "Manage several working copies of one repository",
    },
    "Runs and environments": {
        "run": "Run a command and record what it read, wrote and measured",
        "watch": "Record what is executed in notebooks when they are saved",
        "runs": "List and compare recorded runs",
        "repro": "Run the stages of dsvc.toml that are out of date",
        "sweep": "Run a command for combinations of parameters",
        "model": "Keep models by name, with versions and stages",
        "profile": "Say what the columns of a table look like",
        "env": "Record, compare and make again what programs run with",
        "lineage": "Show where a file, a run or a commit came from",
        "blame-data": "Show which run wrote a file and which raw files it rests on",
        "rerun": "Repeat a run in a clean folder and compare what comes of it",
        "verify": "Walk back to the raw data and report what is not proved",
    },
    "Serve models": {
        "serve": "Answer requests with a model",
        "build": "Make an image that serves a model, without a container engine",
        "deploy": "Bring a model to where it is served, and know what is where",
        "monitor": "Watch a served model with Prometheus and Grafana",
        "report": "Compare two versions as a page of Markdown, with gates",
        "ci": "Do what shall follow a commit, a merge, a tag or a promotion",
    },
    "Look at history": {
        "log": "Show commits",
        "show": "Show one object",
        "diff": "Show differences between commits or the working copy",
        "grep": "Search the text of files",
        "blame": "Show which commit last changed each line",
        "bisect": "Find the commit that brought a change, by halves",
        "ls": "List the files of a commit",
        "cat": "Print a file of a commit",
        "export": "Write the files of a commit to a folder",
        "mount": "Show a commit as a folder, without a checkout",
        "umount": "End mounts of commits",
        "describe": "Name a commit by the nearest tag",
        "merge-base": "Find the best common ancestor",
        "verify-commit": "Check the signatures of commits",
        "verify-tag": "Check the signatures of tags",
        "rev-parse": "Turn a revision into an id",
    },
    "Work with others": {
        "remote": "Manage the remotes of this repository",
        "fetch": "Bring branches and tags from a remote",
        "pull": "Fetch, and join what came into the current branch",
        "push": "Send branches to a remote",
        "sync": "Fetch, move the current branch forward, and push it",
        "request": "Ask for merges on a remote, review and merge them",
        "ls-remote": "List what a remote has",
        "data": "List, fetch, drop and update large content",
        "bundle": "Write history into one file, for machines without a network",
        "hub": "Serve a repository to other machines",
    },
    "Go back": {
        "undo": "Take the last operation back",
        "redo": "Take the last undo back",
        "op": "Show or restore operations, the history of all refs",
        "reflog": "Show where a branch has pointed",
        "reset": "Move the branch to another commit",
    },
    "Keep in order": {
        "gc": "Remove what nothing reaches and tidy the store",
        "fsck": "Verify everything that is stored",
        "purge": "Remove content from all of history",
        "doctor": "Check the installation and the repository for problems",
        "config": "Read and change settings",
        "completion": "Print the completion script for a shell",
        "version": "Show the version",
    },
}


def all_verbs() -> tuple[Verb, ...]:
    """Every verb in the order of the help page, present or not."""
    return tuple(Verb(name, section, text) for section, verbs in _SECTIONS.items() for name, text in verbs.items())


def find_verb(name: str) -> Verb | None:
    """The verb `name`, or None where it is unknown or its module is not there."""
    for verb in all_verbs():
        if verb.name == name:
            return verb if importlib.util.find_spec(verb.module) is not None else None
    return None


def present_verbs() -> tuple[Verb, ...]:
    """The verbs whose modules are there; nothing is imported."""
    return tuple(verb for verb in all_verbs() if importlib.util.find_spec(verb.module) is not None)
