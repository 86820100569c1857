"""The reference of all keys of a study, as Markdown, made from the schema: docs/configuration.md."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from secateur.config.schema import SCHEMA, filled

Schema = Mapping[str, Any]
BEGINNING = """# Configuration

Every key of `config.yaml` and of the studies that are laid over it. This page is made from the schema
(`make docs`), which also checks a study before anything runs: an unknown key is an error. In the column *key*,
`NAME` stands for a name of your choice and `[]` for each entry of a list. *required* means that the key must be given,
by the study or by one that is laid over it, wherever that which it belongs to is there: a section, an entry, or an
alternative (`with …`). A key with neither *required* nor a default may be left out: its meaning says what holds then,
or, for an object, the keys that it may hold do.
"""


def markdown() -> str:
    """The whole page."""
    top = filled(SCHEMA)
    parts = [BEGINNING]
    for name, schema in top["properties"].items():
        found = list(rows(name, schema, SCHEMA.name, name in top["required"]))
        parts.append(f"## {name}\n\n{found[0][3]}\n")
        parts.append("| key | value | default | meaning |\n|---|---|---|---|")
        parts += [f"| {' | '.join(map(_cell, row))} |" for row in (found[1:] or found)]
        parts.append("")
    return "\n".join(parts)


def rows(path: str, schema: Schema, file: str, required: bool = False) -> Iterator[tuple[str, str, str, str]]:
    """(key, value, default, meaning) of a key and of all below it. `file` is the one that references start from."""
    schema, file = _resolved(schema, file)
    default = json.dumps(schema["default"], ensure_ascii=False) if "default" in schema else ""
    shown = f"`{default}`" if default and default != "{}" else "*required*" if required and not default else ""
    yield f"`{path}`", _value(schema, file), shown, _text(schema)
    yield from _below(path, schema, file)


def _below(path: str, schema: Schema, file: str) -> Iterator[tuple[str, str, str, str]]:
    for name, inner in schema.get("properties", {}).items():
        if inner and "const" not in inner:
            yield from rows(f"{path}.{name}", inner, file, name in schema.get("required", ()))
    for alternative in schema.get("oneOf", ()):
        inner, where = _resolved(alternative, file)
        kind = inner.get("properties", {}).get("type", {}).get("const")
        yield f"`{path}` with `{f'type: {kind}' if kind else inner['required'][0]}`", "", "", _text(inner)
        yield from _below(path, _also_required(inner, schema), where)
    for part in schema.get("allOf", ()):
        if "if" in part:
            ((key, condition),) = part["if"].get("properties", {"?": {}}).items()
            inner, where = _resolved(part["then"], file)
            yield f"`{path}` with `{key}: {condition.get('const', condition.get('enum'))}`", "", "", _text(inner)
        else:
            inner, where = _resolved(part, file)
        yield from _below(path, _also_required(inner, schema), where)
    if isinstance(schema.get("items"), Mapping):
        inner, where = _resolved(schema["items"], file)
        if {"properties", "oneOf", "allOf"} & inner.keys():
            yield from _below(f"{path}[]", inner, where)
    if isinstance(schema.get("additionalProperties"), Mapping):
        inner, where = _resolved(schema["additionalProperties"], file)
        yield from _below(f"{path}.NAME", inner, where)


def _text(schema: Schema) -> str:
    """What a key or an alternative means; that of its `type`, where it says nothing itself."""
    kind = schema.get("properties", {}).get("type", {})
    return " ".join((schema.get("description") or kind.get("description", "")).split())


def _also_required(part: Schema, whole: Schema) -> Schema:
    """A part of a schema, with what the whole requires."""
    return {**part, "required": [*whole.get("required", ()), *part.get("required", ())]}


def _resolved(schema: Schema, file: str) -> tuple[Schema, str]:
    """A schema with what it refers to merged in, and the file that this is in."""
    if "$ref" not in schema:
        return schema, file
    where, _, pointer = schema["$ref"].partition("#/")
    where = where or file
    target: Schema = filled(SCHEMA.with_name(where))
    for part in pointer.split("/"):
        target = target[part]
    target, where = _resolved(target, where)
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}, where


def _value(schema: Schema, file: str) -> str:
    """What a key may be."""
    if "enum" in schema:
        return ", ".join(f"`{'null' if value is None else value}`" for value in schema["enum"])
    kinds = schema.get("type", "")
    text = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if isinstance(schema.get("items"), Mapping):
        inner = _resolved(schema["items"], file)[0]
        simple = _value(inner, file) if not {"properties", "oneOf"} & inner.keys() else ""
        text += f" of {simple}" if simple else ""
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema]
    return " ".join([text, ", ".join(limits)]).strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
