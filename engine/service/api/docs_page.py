"""/docs: the OpenAPI document as one plain page that needs nothing from the network."""

import json
from html import escape
from typing import Any, Final

CONTENT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
h2 { margin-top: 2.5rem; } details { border-top: 1px solid #d8dee6; padding: .5rem 0; } summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { background: #f4f6f8; padding: .7rem; overflow: auto; }
.verb { display: inline-block; width: 4.5rem; font-weight: 600; } .role { color: #5a6675; float: right; }
table { border-collapse: collapse; } td { padding: .15rem 1rem .15rem 0; vertical-align: top; }
@media (prefers-color-scheme: dark) {
body { background: #14181d; color: #dbe2ea; } pre { background: #1d232a; } details { border-color: #333c46; } }
"""


def page(document: dict[str, Any]) -> str:
    """The page.

    Args:
        document: of OpenAPI 3.1.
    """
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    parts = [f"<h2>{escape(tag)}</h2>{''.join(operations)}" for tag, operations in by_tag.items()]
    schemas = document.get("components", {}).get("schemas", {})
    shown = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code> {escape(_first_line(schema))}</summary>'
        f"<pre>{escape(json.dumps(schema, indent=2))}</pre></details>"
        for name, schema in schemas.items()
    )
    title, version = escape(document["info"]["title"]), escape(document["info"]["version"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title} {version}</h1><p>{escape(document['info'].get('description', ''))}</p>"
        f'<p>The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"{''.join(parts)}<h2>Schemas</h2>{shown}</body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    role = operation.get("x-role")
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td>"
        f"<td>{escape(one['in'])}{', required' * one.get('required', False)}</td>"
        f"<td>{escape(_kind(one.get('schema', {})))}</td>"
        f"<td>{escape(one.get('description') or one.get('schema', {}).get('description', ''))}</td></tr>"
        for one in operation.get("parameters", [])
    )
    body = operation.get("requestBody", {}).get("content", {})
    sent = "".join(f"<p>Body: {escape(kind)}, {_link(media.get('schema', {}))}</p>" for kind, media in body.items())
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer.get('description', ''))}</td></tr>"
        for status, answer in operation.get("responses", {}).items()
    )
    return (
        f'<details><summary><span class="verb">{escape(method.upper())}</span><code>{escape(path)}</code>'
        f'<span class="role">{escape(role or "no token")}</span><br>{escape(operation.get("summary", ""))}</summary>'
        f"{f'<table>{rows}</table>' if rows else ''}{sent}<table>{answers}</table></details>"
    )


def _first_line(schema: dict[str, Any]) -> str:
    return str(schema.get("description", "")).partition("\n")[0]


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_kind(arm) for arm in schema["anyOf"] if arm.get("type") != "null")
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    return str(schema.get("type", ""))


def _link(schema: dict[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if name else escape(_kind(schema))
