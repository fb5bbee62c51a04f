"""Every avjury command that the documentation and the helps show is one that there is, with options that there are."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from engine.cli import app
from engine.cli_examples import EXAMPLES
from engine.cli_reference import PAGE, _commands, reference

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What is handed on as it is: the benchmarks' own options.
HANDED_ON = {"bench", "plan"}


def written(text):
    """The commands in code of a page."""
    lines = [line.strip() for line in text.splitlines() if re.match(r"\s{4,}|\t|\$ ", line)]
    lines += re.findall(r"`([^`\n]*)`", text)
    found = []
    for line in lines:
        match = re.match(r"(?:\$ )?(?:\.venv/bin/|\$\(BIN\)/)?avjury ([a-z][^|<>`]*)", line)
        if match and not match[1].startswith(("on ", "is ")):
            found.append(re.split(r"\s+#", match[1])[0].strip())
    return found


COMMANDS = sorted({(page.name, command) for page in PAGES for command in written(page.read_text(encoding="utf-8"))})


def parsed(command):
    """Has the command taken apart by what would run it; raises where it would be refused."""
    plain = command.replace("[OPTIONS]", "").replace("[", " ").replace("]", " ").replace("...", "")
    words = shlex.split(plain)
    if words[-1] in ("--profile", "--node"):
        words.append("x")  # prose names the option without its value
    group = typer.main.get_command(app)
    while hasattr(group, "commands") and words and words[0] in group.commands:
        name, *words = words
        group = group.commands[name]
        if name in HANDED_ON:
            return
    if hasattr(group, "commands") and not words:
        return  # a group of commands is named
    assert not hasattr(group, "commands"), f"no such command: {command}"
    words = ["1" if word == "N" else word for word in words]
    needed = [one for one in group.params if one.required]
    # Prose leaves out what an option has to say each time.
    left_out = [one for one in needed if one.param_type_name == "option" and not {*one.opts} & {*words}]
    if "[OPTIONS]" in command or left_out or (needed and not words):
        return  # it is named, not written out
    group.make_context("avjury", words)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_written_command_is_one_that_there_is(page, command):
    parsed(command)


def test_commands_are_found_where_they_are():
    assert len(COMMANDS) > 40
    with pytest.raises(Exception, match="no-such"):
        parsed("check x.mp4 --no-such")
    with pytest.raises(AssertionError):
        parsed("chek x.mp4")


def test_the_reference_is_what_the_commands_say():
    assert PAGE.read_text(encoding="utf-8") == reference(), "python -m engine.cli_reference writes it anew"


def test_every_command_has_examples_that_its_own_parser_takes():
    there = [name for name, _ in _commands(typer.main.get_command(app))]
    assert sorted(EXAMPLES) == sorted(there)
    for name, examples in EXAMPLES.items():
        for line, what in examples:
            assert line.startswith(f"avjury {name} ") or line == f"avjury {name}"
            assert what
            parsed(line.removeprefix("avjury "))


def test_a_shell_completes_commands_and_no_color_is_heeded():
    environment = os.environ | {"_AVJURY_COMPLETE": "complete_bash", "COMP_WORDS": "avjury self", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from engine.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.stdout.split() == ["selftest"]
    environment = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "", "TERM": "xterm-256color"}
    done = subprocess.run([sys.executable, "-m", "engine.cli", "detectors"], capture_output=True, text=True, timeout=60,
                          check=False, env=environment)  # fmt: skip
    assert "\x1b" not in done.stdout
