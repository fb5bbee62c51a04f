"""`avjury shadow`: what the profile that is tried would change, from the service's data folder."""

import json
from pathlib import Path
from typing import IO, Any

from engine.errors import ConfigError
from engine.output import printable
from engine.service.shadow import FILE, read_book, report


def tell_shadow(folder: Path, out: IO[str], format: str) -> None:
    """Print it.

    Args:
        folder: the service's data folder.
        out: where to.
        format: "table", "jsonl" or "json".
    Raises: ConfigError if nothing was tried there.
    """
    found = read_book(folder / FILE)
    if found is None:
        raise ConfigError(
            "no profile was tried",
            stream=str(folder),
            why=f"there is no {FILE} in it",
            remedy="set shadow.profile in the service's configuration, or name its folder (--data)",
        )
    told = report(found[0], found[1])
    if format == "table":
        _table(told, out)
    elif format == "json":
        out.write(json.dumps(told, indent=2) + "\n")
    else:
        head = {key: told[key] for key in ("profile", "since", "counts")}
        out.write(json.dumps({"type": "shadow", **head}) + "\n")
        for kind in ("only_live", "only_shadow", "both"):
            out.writelines(json.dumps({"type": kind, **item}) + "\n" for item in told[kind])


def _table(told: dict[str, Any], out: IO[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False, width=None if out.isatty() else 110)
    console.print(f"profile {printable(told['profile'])}, tried since {told['since']}", markup=False)
    counts = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("detector", "only live", "only with the profile", "both"):
        counts.add_column(name, justify="left" if name == "detector" else "right")
    for one in told["counts"]:
        counts.add_row(one["detector"], str(one["only_live"]), str(one["only_shadow"]), str(one["both"]))
    console.print(counts)
    for kind, title in (("only_live", "No longer told"), ("only_shadow", "Told besides")):
        if told[kind]:
            table = Table(title=f"{title}, the youngest first", box=box.SIMPLE_HEAD, pad_edge=False)
            for name in ("opened", "stream", "detector", "severity", "lasted"):
                table.add_column(name)
            for one in told[kind][:20]:
                lasted = "open" if one["end"] is None else f"{one['end'] - one['start']:.1f} s"
                table.add_row(
                    one["opened_at"], Text(printable(one["stream"])), one["detector"], one["severity"], lasted
                )
            console.print(table)
