"""The OpenAPI document as one HTML page: no script, nothing fetched, readable in any browser."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import orjson

Node = Mapping[str, Any]

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}}
h1{{color:#722f37}} h2{{margin-top:2.5rem;border-bottom:2px solid #722f37}}
details{{border:1px solid #ddd;border-radius:6px;margin:.6rem 0;padding:.5rem .8rem}}
summary{{cursor:pointer}} code,pre{{font:14px/1.45 ui-monospace,monospace}}
pre{{background:#f7f3f3;padding:.7rem;border-radius:6px;overflow:auto}}
.method{{display:inline-block;min-width:4.2rem;font-weight:700;color:#722f37}}
table{{border-collapse:collapse;width:100%}}
td{{vertical-align:top;padding:.25rem .6rem .25rem 0;border-top:1px solid #eee}}
</style></head><body>
"""


def docs_page(document: bytes) -> str:
    """Return the page for the OpenAPI document `document`."""
    spec: Node = orjson.loads(document)
    info = spec["info"]
    parts = [
        _HEAD.format(title=escape(info["title"])),
        f"<h1>{escape(info['title'])}</h1><p>{_prose(info['description'])} ",
        'The same for programs: <a href="/openapi.json">openapi.json</a>.</p>',
    ]
    for tag in spec["tags"]:
        parts += [f"<h2>{escape(tag['name'])}</h2><p>{_prose(tag['description'])}</p>"]
        parts += [_operation(spec, *each) for each in _operations(spec, tag["name"])]
    parts += ["<h2>schemas</h2>"]
    parts += [_schema(name, each) for name, each in spec["components"]["schemas"].items()]
    return "\n".join((*parts, "</body></html>\n"))


def _operations(spec: Node, tag: str) -> Iterator[tuple[str, str, Node]]:
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _operation(spec: Node, method: str, path: str, operation: Node) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return "".join(
        (
            f'<details id="{operation["operationId"]}"><summary><span class="method">{method}',
            f"</span> <code>{escape(path)}</code> — {_prose(operation['summary'])}</summary>",
            f"<p>{_prose(operation.get('description', ''))}</p>",
            _parameters(operation),
            f"<p>Body: {_type(body['schema'])}</p>" if body else "",
            f"<pre>{_curl(path, body['example'])}</pre>" if "example" in body else "",
            _responses(spec, operation),
            "</details>",
        )
    )


def _curl(path: str, example: object) -> str:
    told = orjson.dumps(example).decode()
    return escape(
        f"curl -s http://127.0.0.1:8080{path} -H 'Content-Type: application/json' -d '{told}'"
    )


def _parameters(operation: Node) -> str:
    rows = [
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}</td>"
        f"<td>{_type(each['schema'])}</td><td>{_prose(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", ())
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _responses(spec: Node, operation: Node) -> str:
    rows = []
    for status, told in operation["responses"].items():
        response = _resolved(spec, told)
        contents = response.get("content", {}).values()
        kinds = " ".join(_type(content["schema"]) for content in contents)
        described = _prose(response["description"])
        rows.append(f"<tr><td>{status}</td><td>{described}</td><td>{kinds}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _resolved(spec: Node, node: Node) -> Node:
    if "$ref" not in node:
        return node
    found: Any = spec
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    resolved: Node = found
    return resolved


def _schema(name: str, schema: Node) -> str:
    required = schema.get("required", ())
    rows = [
        f"<tr><td><code>{escape(field)}</code>{' *' if field in required else ''}</td>"
        f"<td>{_type(each)}</td><td>{_prose(each.get('description', ''))}</td></tr>"
        for field, each in schema.get("properties", {}).items()
    ]
    described = _prose(schema.get("description", ""))
    return (
        f'<details id="{name}"><summary><code>{name}</code></summary>'
        f"<p>{described}</p><table>{''.join(rows)}</table></details>"
    )


def _type(schema: Node) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "enum" in schema:
        return " | ".join(f"<code>{escape(_json(each))}</code>" for each in schema["enum"])
    kinds = schema.get("type", "any")
    named = kinds if isinstance(kinds, str) else " | ".join(kinds)
    inner = f" of {_type(schema['items'])}" if "items" in schema else ""
    bounds = _bounds(schema)
    default = f", default {escape(_json(schema['default']))}" if "default" in schema else ""
    return escape(named) + inner + bounds + default


def _bounds(schema: Node) -> str:
    told = [
        f"{schema.get(low, '')}…{schema.get(high, '')}"
        for low, high in (
            ("minimum", "maximum"),
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
        )
        if low in schema or high in schema
    ]
    return f" ({escape(', '.join(told))})" if told else ""


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _prose(text: str) -> str:
    """Return `text` as HTML, words in backticks as code."""
    pieces = escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )
