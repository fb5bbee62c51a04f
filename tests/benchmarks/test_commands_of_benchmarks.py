"""Every benchmark that `avjury bench` lists begins, and tells its options."""

import re
import runpy
import sys
from pathlib import Path

import pytest

import benchmarks

FOLDER = Path(benchmarks.__file__).parent
NAMES = sorted(file.stem for file in FOLDER.glob("*.py") if "__main__" in file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_a_benchmark_tells_its_options(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(FOLDER / f"{name}.py"), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code in (0, None)
    assert "--help" in capsys.readouterr().out


def code(text):
    """What stands in code in a page, one behind the other."""
    return " ; ".join(found.strip("`") for found in re.findall(r"`[^`\n]+`|^ {4}.+$", text, re.MULTILINE))


ROOT = FOLDER.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = sorted(
    {
        (page.name, found[1], found[2].strip())
        for page in PAGES
        for found in re.finditer(
            r"(?:avjury bench|-m benchmarks\.|avjury (?=plan\b)) ?([a-z][a-z_-]+)((?:\s+(?:--?\w[\w-]*|[\w.,*:/-]+))*)",
            " ".join(re.findall(r"`[^`\n]+`|^ {4}.+$", page.read_text(encoding="utf-8"), re.MULTILINE)).replace(
                "`", " ; "
            ),
        )
    }
)


@pytest.mark.parametrize(("page", "name", "options"), WRITTEN)
def test_a_benchmark_that_a_page_names_is_there_with_its_options(page, name, options):
    source = FOLDER / f"{name.replace('-', '_')}.py"
    assert source.stem in NAMES, f"{page} names {name}"
    texts = source.read_text(encoding="utf-8") + (FOLDER / "harness.py").read_text(encoding="utf-8")
    for option in re.findall(r"--[\w-]+", options):
        assert option == "--help" or f'"{option}"' in texts, f"{page}: {name} has no {option}"
