"""The typer application: global options, and verbs that are imported when they are called."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from dsvc.commands.coercion import install_coercion
from dsvc.commands.context import Context, private_folder
from dsvc.commands.exit_codes import USAGE
from dsvc.commands.help_page import root_page
from dsvc.commands.registry import find_verb, present_verbs
from dsvc.commands.verb import help_option, load_verb
from dsvc.errors import RequestError
from dsvc.version import __version__


class RootGroup(TyperGroup):
    """`dsvc` itself; the table in `registry` says which verbs there are."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for param in self.params:
            install_coercion(param)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the verbs that are there."""
        del ctx
        return [verb.name for verb in present_verbs()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and build the verb `cmd_name`, or None."""
        del ctx
        verb = find_verb(cmd_name)
        return None if verb is None else load_verb(verb)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the global options and put them into force before the verb is looked up."""
        rest = super().parse_args(ctx, args)
        context = ctx.find_object(Context)
        if context is not None and not ctx.resilient_parsing:
            _apply(context, **ctx.params)
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the verb of `args[0]`: a verb, else a program, else what an alias stands for."""
        context = ctx.find_object(Context)
        seen: list[str] = []
        while True:
            name, *rest = args
            if name == "help" and context is not None:
                if not rest:
                    context.out.text(self.get_help(ctx) + "\n")
                    raise typer.Exit
                args = [*rest, "--help"]
                continue
            command = self.get_command(ctx, name)
            if command is not None or context is None:
                return name, command, rest
            from dsvc.commands.aliases import expand_alias, find_program, run_program, shell_command, unknown_verb

            program = find_program(name, context.environment)
            if program is not None:
                raise typer.Exit(run_program([program, *rest], context.environment, directory=context.directory))
            expansion = expand_alias(name, context.config())
            if expansion is None:
                known = [*self.list_commands(ctx), *context.config().section("alias")]
                raise unknown_verb(name, known)
            if expansion.shell is not None:
                private = private_folder(context.directory)
                top = context.directory if private is None else private.parent  # where git runs them too
                command_line = shell_command(expansion.shell, name, rest)
                raise typer.Exit(run_program(command_line, context.environment, directory=top))
            if name in seen:
                raise RequestError(
                    f"the alias {name!r} leads back to itself: {' -> '.join([*seen, name])}",
                    hint=f"dsvc config --unset alias.{name}",
                )
            seen.append(name)
            args = [*expansion.words, *rest]

    def get_help_option(self, ctx: Any) -> Any:
        """The help option, printing through the context."""
        return help_option(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return root_page(self, ctx, verbs=present_verbs())


def build_application() -> Any:
    """The root command; only the verb that is called is imported."""
    app = typer.Typer(
        add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]}
    )
    app.callback(cls=RootGroup, invoke_without_command=True)(_global_options)
    root = typer.main.get_command(app)
    root.name = "dsvc"
    return root


def _global_options(
    click_context: typer.Context,
    *,
    directory: Annotated[list[str] | None, typer.Option("-C", metavar="DIR", help="Run as if started in DIR.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("-c", metavar="KEY=VALUE", help="Set a configuration key for this command.")
    ] = None,
    color: Annotated[
        Literal["auto", "always", "never"] | None,
        typer.Option("--color", metavar="WHEN", help="Colour the output: auto, always or never."),
    ] = None,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Do not show long output through a pager.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Fetch nothing that a partial clone lacks: fail instead.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("-V", "--version", help="Show the version.")] = False,
) -> None:
    """Version control for machine-learning projects: code, data, models and runs in one history."""
    del directory, setting, color, no_pager, offline, debug, version  # `_apply` has put them into force
    context = click_context.find_object(Context)
    if click_context.invoked_subcommand is None and context is not None:
        context.out.text(click_context.get_help() + "\n")
        raise typer.Exit(USAGE)


def _apply(
    context: Context,
    *,
    directory: tuple[str, ...],
    setting: tuple[str, ...],
    color: Literal["auto", "always", "never"] | None,
    no_pager: bool,
    offline: bool,
    debug: bool,
    version: bool,
) -> None:
    for folder in directory or ():
        try:
            os.chdir(folder)
        except OSError as error:
            raise RequestError(f"cannot go to {folder}: {error.strerror}", hint="-C takes a folder") from error
    context.set_global_options(setting or (), color=color, no_pager=no_pager, debug=debug, offline=offline)
    if version:
        context.out.line(f"dsvc {__version__}")
        raise typer.Exit
