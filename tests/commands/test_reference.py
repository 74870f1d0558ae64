"""The page of commands is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

from dsvc.commands.reference import reference, settings_table
from dsvc.commands.registry import all_verbs


def test_the_page_is_current():
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    assert page.read_text() == reference(), "run: python -m dsvc.commands.reference > docs/cli.md"


def test_the_table_of_settings_is_current():
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert settings_table() in page.read_text(), "put there: python -m dsvc.commands.reference settings"


def test_every_option_is_explained():
    from dsvc.commands.application import build_application
    from dsvc.commands.registry import present_verbs

    root = build_application()
    commands = [root]
    for verb in present_verbs():
        commands.append(root.get_command(None, verb.name))
        commands += getattr(commands[-1], "commands", {}).values()
    for command in commands:
        assert command.help, command.name
        for param in command.params:
            assert param.help or getattr(param, "hidden", False), f"{command.name}: {param.name}"


def test_help_lines_are_short():
    for verb in all_verbs():
        assert len(verb.help) <= 62
        assert not verb.help.endswith(".")
