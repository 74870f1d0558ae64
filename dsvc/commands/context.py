"""What a verb knows of the process it runs in; built once for each command."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dsvc.commands.output import ColorWhen, Output
from dsvc.errors import DsvcError, UsageError

if TYPE_CHECKING:
    from dsvc.config.identity import Identity
    from dsvc.config.settings import Config, ConfigFiles
    from dsvc.config.signing import SigningSettings
    from dsvc.objects.tree import Entry
    from dsvc.progress import Progress
    from dsvc.workspace import Surroundings, Workspace

_NAMED = 10  # files in a warning


class Context:
    """Environment, folder, settings, output, progress and clock of one command.

    Verbs get it as their first argument. Settings are read when they are first asked for, so that a verb
    that needs none works with a damaged file too.
    """

    __slots__ = (
        "_color",
        "_config",
        "_err_terminal",
        "_in",
        "_in_terminal",
        "_limit_rate",
        "_local_now",
        "_no_pager",
        "_overrides",
        "_workspace",
        "after_dashes",
        "command_line",
        "debug",
        "environment",
        "offline",
        "out",
        "usage_exit",
    )

    def __init__(
        self,
        environment: Mapping[str, str],
        out: Output,
        *,
        stdin: BinaryIO,
        err_terminal: bool = False,
        local_now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self.environment = environment
        self.out = out
        self.after_dashes: tuple[str, ...] | None = None
        self.command_line: tuple[str, ...] = ()
        self.debug = False
        self.usage_exit: int | None = None  # the exit code for words that make no sense, where it is another one
        self._in = stdin
        self._in_terminal = stdin.isatty()
        self._err_terminal = err_terminal
        self._local_now = local_now
        self._color: ColorWhen | None = None
        self._no_pager = False
        self.offline = False
        self._overrides: tuple[str, ...] = ()
        self._limit_rate: int | None = None
        self._config: Config | None = None
        self._workspace: Workspace | None = None
        out.color_by(self._takes_color)

    def set_global_options(
        self,
        overrides: Sequence[str],
        *,
        color: ColorWhen | None,
        no_pager: bool,
        debug: bool,
        offline: bool = False,
    ) -> None:
        """Take what stood before the verb; settings are read again."""
        self._overrides = tuple(overrides)
        self._color = color
        self._no_pager = no_pager
        self.offline = offline
        self.debug = debug
        self._config = None

    @property
    def directory(self) -> Path:
        """The current folder; `-C` has been applied."""
        return Path(os.getcwd())

    @property
    def progress(self) -> Progress:
        """Where work reports how far it is: a line on a terminal, or nothing."""
        from dsvc.progress import Silent

        if not self._err_terminal or self.out.quiet or self.environment.get("TERM") == "dumb":
            return Silent()
        from dsvc.commands.progress_bar import ProgressLine

        return ProgressLine(self.out)

    def config_files(self) -> ConfigFiles:
        """Where the settings of this folder are read from."""
        from dsvc.config.settings import ConfigFiles, user_file
        from dsvc.worktree.places import common_folder

        private = private_folder(self.directory)
        return ConfigFiles(
            user=user_file(self.environment),
            repo=None if private is None else common_folder(private) / "config.toml",
            worktree=None if private is None else private / "worktree.toml",
        )

    def config(self) -> Config:
        """The settings, read once."""
        if self._config is None:
            from dsvc.config.settings import load_config

            self._config = load_config(self.config_files(), self._overrides)
        return self._config

    def identity(self) -> Identity:
        """Who makes commits; raises MissingIdentityError where nothing says it."""
        from dsvc.config.identity import MissingIdentityError, find_identity, read_git_identity

        found = find_identity(
            self.config(),
            self.environment,
            git_identity=lambda: read_git_identity(self.environment, self.directory),
        )
        if found is None:
            raise MissingIdentityError
        return found

    def signing(self) -> SigningSettings:
        """With which key to sign, and who may."""
        from dsvc.config.signing import find_signing, read_git_signing

        private = private_folder(self.directory)
        return find_signing(
            self.config(),
            self.environment,
            root=self.directory if private is None else private.parent,
            git_settings=lambda: read_git_signing(self.environment, self.directory),
        )

    def workspace(self) -> Workspace:
        """The repository and working copy around the current folder."""
        from dsvc.workspace import Workspace

        if self._workspace is None:
            self._workspace = Workspace.open(
                self.directory, config=self.config(), surroundings=self.surroundings(), progress=self.progress
            )
            if self._workspace.recovered is not None:
                self.out.note(f"What was broken off while it wrote files was {self._workspace.recovered}")
            if self._workspace.content_filter() is not None:
                from dsvc.actions.bring import attach

                attach(self._workspace, offline=self.offline)
            self._workspace.fetched.fetch = self._fetch_references
            if (self._workspace.local / "runs").exists():
                from dsvc.runs.journal import left_behind

                if left_behind(self._workspace.local / "runs"):
                    self._take_up_runs(self._workspace)
        return self._workspace

    def _fetch_references(self, entries: Sequence[Entry]) -> None:
        """Fetch the content of references that a command reads."""
        from dsvc.actions.elsewhere import fetch_when_read

        fetch_when_read(self.workspace(), entries, offline=self.offline)

    def _take_up_runs(self, workspace: Workspace) -> None:
        """Make the records of runs whose process was lost, or could not make them."""
        from dsvc.actions.run_finish import take_up

        try:
            take_up(workspace)
        except (DsvcError, OSError) as error:  # what was asked for is something else, and may work
            why = (isinstance(error, OSError) and error.strerror) or error
            self.out.warn(f"runs that ended are not recorded yet: {why}")

    def limit_rate(self, text: str | None) -> None:
        """Let transfers of this command keep to a rate, whatever the settings of remotes say; None changes nothing.

        Raises BadRateError for a text that is none. It comes before the workspace is asked for.
        """
        if text is not None:
            from dsvc.remotes.wrappers.limited import parse_rate

            self._limit_rate = parse_rate(text) or 0

    def after_interrupt(self) -> str | None:
        """What to say to somebody who interrupted a command: whether files are left half-way."""
        if self._workspace is None or not self._workspace.journal_path.exists():
            return None
        return "some files are written and some are not: the next command, such as 'dsvc status', sees to that"

    def explained(self, error: BaseException) -> BaseException:
        """What to tell people instead of `error`: of content that was erased on purpose, by whom, when and why."""
        from dsvc.objects.store import ObjectMissingError

        if self._workspace is None or not isinstance(error, ObjectMissingError):
            return error
        from dsvc.repo.cuts import explain_cut
        from dsvc.repo.tombstones import explain_missing

        try:
            repo = self._workspace.repo
            return explain_cut(repo.cut, error.id) or explain_missing(repo, error)
        except (DsvcError, OSError):  # the note cannot be read either
            return error

    def finish(self) -> None:
        """Do the store's upkeep after a verb that published something, and give back what is open."""
        workspace, self._workspace = self._workspace, None
        if workspace is None:
            return
        if workspace.published and self.config().get_bool("gc.auto"):
            from dsvc.actions.upkeep import upkeep

            upkeep(workspace)
        if workspace.left_out:
            self._tell_left_out(workspace)
        workspace.close()

    def _tell_left_out(self, workspace: Workspace) -> None:
        """Say which files a checkout could not bring, since their content was purged, and why that was."""
        from dsvc.commands.path_text import quote_path
        from dsvc.repo.tombstones import purged_text, tombstone_of

        for path, file_id in sorted(workspace.left_out.items())[:_NAMED]:
            note = tombstone_of(workspace.repo, file_id)
            why = purged_text(note) if note is not None else "purged"
            self.out.warn(f"{quote_path(path)} is left out: its content was {why}")
        if len(workspace.left_out) > _NAMED:
            self.out.warn(f"and {len(workspace.left_out) - _NAMED} more; 'dsvc purge --list' names what was purged")

    def read_text(self, file: str) -> str:
        """The text of a file given on the command line; `-` is standard input."""
        if file == "-":
            return self._in.read().decode("utf-8", "surrogateescape")
        try:
            return Path(file).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from error

    def surroundings(self) -> Surroundings:
        """What a workspace is told of the world."""
        from dsvc.workspace import Surroundings

        user = self.environment.get("USER") or self.environment.get("LOGNAME") or "unknown"
        return Surroundings(
            now=self.now,
            identity=self.identity,
            user=user,
            command=self.command_line,
            environment=self.environment,
            signing=self.signing,
            limit_rate=self._limit_rate,
            ask_secret=self.ask_secret,
        )

    def now(self) -> datetime:
        """The time with its zone: the clock's, or what DSVC_DATE says in ISO 8601.

        Raises UsageError for a DSVC_DATE that is no such time or has no zone.
        """
        fixed = self.environment.get("DSVC_DATE")
        if not fixed:
            return self._local_now()
        try:
            moment = datetime.fromisoformat(fixed)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise UsageError(
                f"DSVC_DATE is {fixed!r}, not a time with a zone", hint="such as 2026-01-31T12:00:00+01:00"
            )
        return moment

    def split_dashes(self, arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """`arguments` before `--`, and those after it, which is None where there was no `--`.

        `arguments` are all the words of the verb's last, repeatable argument.
        """
        after = self.after_dashes
        if after is None:
            return tuple(arguments), None
        return tuple(arguments[: len(arguments) - len(after)]), after

    @contextlib.contextmanager
    def paged(self) -> Iterator[None]:
        """Send results through the pager while the block runs, if stdout is a terminal."""
        from dsvc.commands.pager import pager_command, running_pager

        command = None
        if self.out.terminal and not self._no_pager:
            command = pager_command(self.config(), self.environment)
        if command is None:
            yield
            return
        with running_pager(command, self.out, environment=self.environment):
            yield

    def edit(self, text: str, *, suffix: str = ".txt") -> str:
        """What the person at the editor makes of `text`; the file's name ends in `suffix`."""
        from dsvc.commands.editor import edit_text

        return edit_text(text, self.editor(), suffix=suffix, environment=self.environment)

    def editor(self) -> str:
        """The command line of the editor."""
        from dsvc.commands.editor import editor_command

        try:
            configured = self.config().get_str("core.editor")
        except DsvcError:  # the file that is damaged may be the one to edit
            configured = None
        return editor_command(configured, self.environment)

    def ask(self, question: str) -> bool:
        """Whether the person at the terminal answers yes; False where there is nobody to ask."""
        if not self._in_terminal or not self._err_terminal:
            return False
        self.out.flush()
        self.out.live(f"{question} [y/N] ")
        return self._in.readline().strip().lower() in {b"y", b"yes"}

    def ask_secret(self, question: str) -> str | None:
        """What the person at the terminal types, without showing it; None where there is nobody to ask."""
        if not self._err_terminal:
            return None
        from getpass import GetPassWarning, getpass

        self.out.flush()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", GetPassWarning)  # rather not at all than readable on the screen
                return getpass(f"{question}: ")
        except (EOFError, GetPassWarning):
            return None

    def read_input(self) -> bytes:
        """All of stdin, for arguments such as `-F -`."""
        return self._in.read()

    def _takes_color(self, terminal: bool) -> bool:
        when: str | None = self._color
        if when is None:
            if self.environment.get("NO_COLOR"):
                return False
            try:
                when = self.config().get_str("color.ui")
            except (DsvcError, OSError):  # reported by whoever needs the settings, not by a colour
                when = "auto"
        if when == "auto":
            return terminal and self.environment.get("TERM") != "dumb"
        return when == "always"


def private_folder(directory: Path) -> Path | None:
    """The `.dsvc` folder of the working copy around `directory`, or None."""
    for folder in (directory, *directory.parents):
        if (folder / ".dsvc").is_dir():
            return folder / ".dsvc"
    return None
