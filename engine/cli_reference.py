"""Makes docs/cli.md, the reference of the commands, from their own declarations: `python -m engine.cli_reference`."""

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

import typer

from engine.cli import app
from engine.cli_examples import EXAMPLES

PAGE: Final = Path(__file__).parents[1] / "docs" / "cli.md"
_HEAD: Final = """\
# The commands

Made by `python -m engine.cli_reference` from the commands' own declarations; edit those. `avjury COMMAND --help` says
the same. Records go to stdout; progress, log and errors to stderr. Colours are left out where `NO_COLOR` is set, or
where the output is no terminal. `avjury --install-completion` teaches your shell to complete commands and options.

## Exit codes

| code | |
|---|---|
| 0 | done: nothing at or above `--fail-on`, all of it found, the target proven |
| 1 | `check`: incidents at or above `--fail-on` |
| | `demo`, `selftest`: not everything was found, or something that is not there |
| | `tune`: the target is not proven |
| | `notify test`, `doctor`: something does not work |
| 2 | wrong usage or configuration; the message says what, why, and what to do |
| 3 | an input could not be opened or decoded; the others are still judged |
| 130, 141 | interrupted; whoever read the output has gone |
"""


def reference() -> str:
    """The page."""
    root = typer.main.get_command(app)
    return _HEAD + "".join(_section(name, command) for name, command in _commands(root))


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        whole = f"{before}{name}"
        if hasattr(command, "commands"):
            yield from _commands(command, f"{whole} ")
        else:
            yield whole, command


def _section(name: str, command: Any) -> str:
    lines = [f"\n## avjury {name}\n", inspect.cleandoc(command.help or ""), ""]
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    usage = " ".join([f"avjury {name}", *(_metavar(one) for one in arguments)])
    lines += [f"    {usage}{' [OPTIONS]' if options or not command.params else ''}", ""]
    rows = [(_metavar(one), one.help or "", "") for one in arguments]
    rows += [(_spelled(one), one.help or "", _default(one)) for one in options]
    if rows:
        lines += ["| | | default |", "|---|---|---|"]
        lines += [f"| `{_cell(left)}` | {_cell(text)} | {_cell(default)} |" for left, text, default in rows]
        lines.append("")
    if name in EXAMPLES:
        lines += [f"    {line}   # {what}" for line, what in EXAMPLES[name]]
    return "\n".join(lines).rstrip() + "\n"


def _metavar(parameter: Any) -> str:
    """What stands for a value."""
    if parameter.metavar:
        return str(parameter.metavar)
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(one.value) for one in kind)
    return {int: "N", float: "NUMBER"}.get(kind, str(parameter.name).upper())


def _spelled(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {_metavar(option)}"


def _default(option: Any) -> str:
    if option.required:
        return "has to be given"
    value = option.default
    if value is None or value is False or callable(value):
        return ""
    return f"`{getattr(value, 'value', value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
