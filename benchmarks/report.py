"""`avjury bench report`: docs/results.html, one page with tables and plots of the newest results of every benchmark.

The page holds all that it shows, and names for each part the result, the machine, the commit and the command that it
came from.
"""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import without_folder, write_page
from benchmarks.measured_page import PARTS, load
from benchmarks.plan import PUBLISHED
from benchmarks.report_parts import SECTIONS, table

PAGE: Final = Path(__file__).parent.parent / "docs" / "results.html"
STYLE: Final = (
    "body{font:15px/1.45 sans-serif;max-width:960px;margin:24px auto;padding:0 16px;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:12px 0}td,th{border:1px solid #bbb;padding:4px 8px;text-align:left;"
    "overflow-wrap:anywhere}"
    "small{color:#555}svg{max-width:100%;height:auto;margin:8px 0}"
)


def page(records: Mapping[str, dict[str, Any] | None]) -> str:
    """The whole page.

    Args:
        records: by part, as `measured_page.load` finds them.
    """
    body = ["<ul>", *(f'<li><a href="#{key}">{escape(part.title)}</a></li>' for key, part in PARTS.items()),
            '<li><a href="#published">What others have published</a></li></ul>']  # fmt: skip
    for key, part in PARTS.items():
        body.append(f'<h2 id="{key}">{escape(part.title)}</h2>')
        record = records[key]
        if record is None:
            body.append(f"<p>Not recorded yet: <code>{escape(part.command)}</code>.</p>")
            continue
        around = record["environment"]
        command = without_folder(record.get("command") or record["figures"].get("command", part.command))
        body.append(
            f"<p><small>{escape(record['file'])}: {escape(str(around['cpu']))}, {around['cores']} cores, load "
            f"{around['load']} at the end, commit {escape(str(around['commit'])[:12])}"
            f"{', with changes' if around['changed'] else ''}; "
            f"<code>{escape(command)}</code></small></p>"
        )
        body += SECTIONS[key](record["figures"])
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    body.append('<h2 id="published">What others have published</h2><p>None of these was run here.</p>')
    rows = [[one["what"], one["figure"], one["source"]] for one in published["others"]]
    body.append(table(["what", "figure", "source"], rows))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>avjury: what was measured</title>'
        f"<style>{STYLE}</style></head><body><h1>What was measured</h1>"
        "<p>Made by <code>avjury bench report</code> from benchmarks/results. In words: docs/benchmarks.md. "
        "Detectors: docs/detectors.md; speed on a GPU: docs/gpu.md; streams per instance: docs/capacity.md.</p>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def main() -> int:
    """Write the page."""
    return write_page("report", __doc__, PAGE, lambda folder: page(load(folder=folder)))


if __name__ == "__main__":
    raise SystemExit(main())
