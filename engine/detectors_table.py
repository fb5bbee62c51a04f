"""The list of detectors with their parameters and defaults, as `avjury detectors` prints it."""

import json
from typing import IO, Any

from engine.detectors import Detector, all_detectors
from engine.output import PLAIN_WIDTH, Format


def detector_record(declared: Detector) -> dict[str, Any]:
    """A detector as JSON: name, track, column, severity, summary, viewer, dominated_by, fills_seconds, optional,
    parameters."""
    return {
        "name": declared.name,
        "track": declared.track,
        "column": declared.column,
        "severity": str(declared.severity),
        "summary": declared.summary,
        "viewer": declared.viewer,
        "dominated_by": list(declared.dominated_by),
        "fills_seconds": declared.fills_seconds,
        "optional": declared.optional,
        "parameters": [
            {
                "name": parameter.name,
                "default": parameter.default,
                "unit": parameter.unit,
                "minimum": parameter.minimum,
                "maximum": parameter.maximum,
                "help": parameter.help,
            }
            for parameter in declared.parameters
        ],
    }


def print_detectors(format: Format, file: IO[str]) -> None:
    """Write every detector that is installed.

    Args:
        format: "jsonl" one object per line, "json" one list, "table" for people.
        file: text is written to it.
    Raises: ConfigError if another package's detectors cannot be loaded.
    """
    declared = all_detectors()
    if format == "jsonl":
        file.writelines(json.dumps(detector_record(one)) + "\n" for one in declared)
        return
    if format == "json":
        file.write(json.dumps([detector_record(one) for one in declared], indent=2) + "\n")
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("detector", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("parameters and defaults", no_wrap=True)
    table.add_column("what it finds")
    for one in declared:
        parameters = "\n".join(f"{p.name} {p.default:g}{' ' + p.unit if p.unit else ''}" for p in one.parameters)
        what = one.summary + (" Optional: asked for by name or pattern." if one.optional else "")
        table.add_row(one.name, str(one.severity), escape(parameters), escape(what))
    Console(file=file, width=None if file.isatty() else PLAIN_WIDTH, highlight=False).print(table)
