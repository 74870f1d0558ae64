"""Turns a verb's functions into typer commands: hides the context, fills it in, and checks the words given."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import ModuleType
from typing import Annotated, Any, Final, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from dsvc.commands.coercion import install_coercion
from dsvc.commands.context import Context
from dsvc.commands.help_page import group_page, verb_page
from dsvc.commands.registry import Verb
from dsvc.errors import UsageError

VerbFunction = Callable[..., int | None]

_OPTIONAL: Final = frozenset({"[KEY]", "[REF[:COMMIT]]", "[PERCENT]"})  # values that options may stand without
_COUNT: Final = re.compile(r"-\d+", re.ASCII)


class VerbCommand(TyperCommand):
    """A typer command with dsvc's help page, `-20` for `-n 20`, and a memory of where `--` stood.

    `usage_exit` is the exit code for words that make no sense, where it is not that of `UsageError`.
    """

    usage_exit: int | None = None

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for param in self.params:
            install_coercion(param)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse `args`, and tell the context what stood after `--`."""
        dashes = args.index("--") if "--" in args else len(args)
        context = ctx.find_object(Context)
        if context is not None:
            context.after_dashes = tuple(args[dashes + 1 :]) if dashes < len(args) else None
            context.usage_exit = self.usage_exit
        with_value = {name for param in self.params if not getattr(param, "is_flag", True) for name in param.opts}
        if "-n" in with_value:
            before = [
                f"-n{word[1:]}" if _COUNT.fullmatch(word) and previous not in with_value else word
                for previous, word in zip(["", *args], args[:dashes], strict=False)
            ]
            if any(param.metavar == "[N]" and "-n" in param.opts for param in self.params):
                before = [
                    "-n1" if word == "-n" and not after.isdecimal() else word
                    for word, after in zip(before, [*before[1:], ""], strict=False)
                ]
            args = [*before, *args[dashes:]]
        args = _with_values(args, self.params, with_value)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:  # so that its hint names this verb's help page
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def get_help_option(self, ctx: Any) -> Any:
        """The help option, printing through the context."""
        return help_option(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return verb_page(self, ctx)


def _with_values(args: list[str], params: Sequence[Any], with_value: set[str]) -> list[str]:
    """Return the words with an empty value at options that stand without theirs and may.

    As in git the value is part of the word, `-SKEY` or `--gpg-sign=KEY`; what follows after a blank is another word.
    Only a `[NAME]` may be the next word, as in `--remote origin`, for there is nothing else that it could be.
    """
    args = _with_names(args, params)
    optional = [param for param in params if getattr(param, "metavar", None) in _OPTIONAL]
    names = {name: param for param in optional if param.param_type_name == "option" for name in param.opts}
    if not names:
        return args
    letters = "".join(name[1] for name in names if len(name) == 2)
    flags = {name[1] for param in params if getattr(param, "is_flag", False) for name in param.opts if len(name) == 2}
    found: list[str] = []
    previous = ""
    for at, word in enumerate(args):
        if word == "--":
            return found + args[at:]
        option, is_value = word, previous in with_value - names.keys()
        if letters and not is_value and re.fullmatch(rf"-\w+[{letters}]", word) and flags.issuperset(word[1:-1]):
            found.append(word[:-1])
            option = f"-{word[-1]}"
        if not is_value and option in names:
            option = max(names[option].opts, key=len) + "="
        found.append(option)
        previous = word
    return found


def _with_names(args: list[str], params: Sequence[Any]) -> list[str]:
    """Return the words with an empty value at each option with a `[NAME]` after which no name stands."""
    names = {name for p in params if p.metavar == "[NAME]" and p.param_type_name == "option" for name in p.opts}
    dashes = args.index("--") if "--" in args else len(args)
    pairs = zip(args[:dashes], [*args[1:dashes], "--"], strict=False)
    return [f"{word}=" if word in names and after.startswith("-") else word for word, after in pairs] + args[dashes:]


class VerbGroup(TyperGroup):
    """A verb with verbs of its own below it, such as `dsvc op log`; `default` is one that need not be named."""

    default: str | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse `args`; words that name no subcommand are those of the default one."""
        own = {"--help", "-h", *(name for param in self.params for name in param.opts)}
        if self.default is not None and args and args[0] not in self.commands and not own.issuperset(args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for param in self.params:
            install_coercion(param)

    def get_help_option(self, ctx: Any) -> Any:
        """The help option, printing through the context."""
        return help_option(super().get_help_option(ctx))

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return group_page(self, ctx)


def help_option(option: Any) -> Any:
    """The help option `option`, made to print through the context, so that it honours its streams."""
    if option is not None:
        install_coercion(option)
        option.callback = _show_help
        option.help = "Show this page."
    return option


def load_verb(verb: Verb) -> Any:
    """Import the module of `verb` and build its command."""
    return build_command(verb, importlib.import_module(verb.module))


def build_command(verb: Verb, module: ModuleType) -> Any:
    """The typer command of `module`, or its group of commands, under the name of `verb`.

    A function `command` is the verb; a mapping `SUBCOMMANDS` of names to functions, or to further such mappings, makes
    it a group, and `command` is then what the group does without a subcommand. `PASS_ON` names commands whose words,
    from the first that is no option, are a command line of another program and none of dsvc's options. `USAGE_EXIT` is
    the exit code for words that make no sense, where other codes than those of dsvc may come of the verb.
    """
    function: VerbFunction | None = getattr(module, "command", None)
    subcommands: Mapping[str, VerbFunction | Mapping[str, VerbFunction]] | None = getattr(module, "SUBCOMMANDS", None)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    if subcommands is None:
        if function is None:
            raise TypeError(f"{verb.module} defines neither `command` nor `SUBCOMMANDS`")
        settings = {"allow_interspersed_args": verb.name not in getattr(module, "PASS_ON", ())}
        app.command(verb.name, cls=VerbCommand, context_settings=settings)(_for_typer(function))
        command: Any = typer.main.get_command(app)
        command.usage_exit = getattr(module, "USAGE_EXIT", None)
        return command
    for name, subcommand in subcommands.items():
        if not callable(subcommand):
            app.add_typer(_subgroup(verb.name, name, subcommand), name=name)
            continue
        passes_on = name in getattr(module, "PASS_ON", ())
        settings = {"allow_interspersed_args": not passes_on}
        app.command(name, cls=VerbCommand, context_settings=settings)(_for_typer(subcommand))
    bare = _for_typer(function if function is not None else _without_subcommand(f"dsvc {verb.name}", subcommands))
    text = inspect.getdoc(function) if function is not None else verb.help + "."
    app.callback(cls=VerbGroup, invoke_without_command=True, help=text)(bare)
    group = typer.main.get_command(app)
    group.name = verb.name
    group.default = getattr(module, "DEFAULT", None)  # type: ignore[attr-defined]
    return group


def _subgroup(verb: str, name: str, subcommands: Mapping[str, VerbFunction]) -> typer.Typer:
    """A group inside a group, such as `dsvc hub user`; its help is the docstring of the module of its functions."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    for subname, function in subcommands.items():
        app.command(subname, cls=VerbCommand)(_for_typer(function))
    text = f"Manage {name}s: {', '.join(subcommands)}."
    app.callback(cls=VerbGroup, invoke_without_command=True, help=text)(
        _for_typer(_without_subcommand(f"dsvc {verb} {name}", subcommands))
    )
    return app


def _without_subcommand(words: str, subcommands: Collection[str]) -> VerbFunction:
    """What a group does that does nothing by itself."""

    def no_subcommand(context: Context) -> int | None:
        del context
        raise UsageError("a subcommand is missing", hint=f"{words} {'|'.join(subcommands)}")

    return no_subcommand


def _show_help(ctx: typer.Context, _param: Any, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        context = ctx.find_object(Context)
        if context is not None:
            context.out.text(ctx.get_help() + "\n")
        raise typer.Exit


def _for_typer(function: VerbFunction) -> VerbFunction:
    """`function` as typer can take it: without its first parameter, and with lists in place of sequences.

    typer finds parameters by the signature, so the wrapper carries one of its own.
    """
    first, *rest = inspect.signature(function, eval_str=True).parameters.values()
    if first.name != "context":
        raise TypeError(f"{function.__module__}.{function.__qualname__}: the first parameter must be `context`")
    parameters = [_as_typer_sees(parameter) for parameter in rest]

    def call(*, click_context: typer.Context, **values: Any) -> int | None:
        if click_context.invoked_subcommand is not None:  # the callback of a group whose subcommand comes next
            return None
        context = click_context.find_object(Context)
        if context is None:
            raise TypeError("a verb was called without a context")
        context.out.as_json = context.out.as_json or bool(values.get("json"))
        context.out.quiet = bool(values.get("quiet"))
        for parameter in rest:
            if parameter.default == () and not values[parameter.name]:
                values[parameter.name] = ()
            elif isinstance(values[parameter.name], list):
                values[parameter.name] = tuple(values[parameter.name])
        return function(context, **values)

    seen = inspect.Parameter("click_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    call.__signature__ = inspect.Signature([seen, *parameters])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (seen, *parameters)}
    call.__doc__ = function.__doc__
    call.__name__ = function.__name__
    return call


def _as_typer_sees(parameter: inspect.Parameter) -> inspect.Parameter:
    annotation = parameter.annotation
    extras: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *others = get_args(annotation)
        extras = tuple(others)
    default = parameter.default
    if get_origin(annotation) is Sequence:
        annotation = list[get_args(annotation)[0]]  # type: ignore[misc]
        default = None if default == () else default
        annotation = annotation | None if default is None else annotation
    if extras:
        annotation = Annotated[(annotation, *extras)]
    return inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
