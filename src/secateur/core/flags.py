"""Options as arguments of a command, one a key: `--lm-weights 0.2 0.4` for a tuple `lm_weights`."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from secateur.core.options import Options, read, schema

TYPES = {"integer": int, "number": float, "string": str}


def add(parser: argparse.ArgumentParser, kind: Any) -> None:
    """Add an argument for each key of an options' class that holds no class itself."""
    described = schema(kind)
    for name, key in described["properties"].items():
        add_key(parser, name, key, required=name in described["required"])


def add_key(parser: argparse.ArgumentParser, name: str, key: Mapping[str, Any], required: bool = False) -> None:
    """Add an argument for a key that a JSON Schema describes: a number, a text, one of some words, a list, or a flag.

    A bound is not checked here, but by `given`.
    """
    flag, text = f"--{name.replace('_', '-')}", key["description"].replace("%", "%%")
    one = key.get("items", key)
    types = one.get("type", "string")
    (kind,) = {types} if isinstance(types, str) else {*types} - {"null"}
    if kind == "boolean":
        parser.add_argument(flag, action="store_true", help=text)
        return
    how: dict[str, Any] = {"type": TYPES[kind], "choices": one.get("enum"), "default": key.get("default")}
    if "items" in key:
        how["nargs"] = "+" if key.get("minItems") else "*"
    parser.add_argument(flag, help=text, required=required, **how)


def given(kind: type[Options], arguments: argparse.Namespace) -> Options:
    """The options that were given on the command line. Raises what `secateur.core.options.read` does."""
    values = vars(arguments)
    return read(kind, {one.name: values[one.name] for one in fields(kind) if one.name in values})  # type: ignore[arg-type]
