"""Checking a study against the schema, which fills in defaults, and saying in one line what is wrong."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from secateur.config import written
from secateur.config.schema import filled
from secateur.study.checks import hint


def fill(config: dict[str, Any], schema: Path) -> list[str]:
    """Fill the defaults of `schema` into `config`; return what is wrong with it, one line each, sorted."""
    found = list(_validator(schema).iter_errors(config))
    return sorted({_explain(error) for error in map(_deepest, found)})


def _validator(schema: Path) -> Draft202012Validator:
    """A validator that fills in defaults as it goes down, and finds the files that the schema refers to."""
    base = Draft202012Validator

    def properties_with_defaults(validator, properties, instance, schema):
        if validator.is_type(instance, "object"):
            for name, subschema in properties.items():
                if "default" in subschema:
                    instance.setdefault(name, copy.deepcopy(subschema["default"]))
        yield from base.VALIDATORS["properties"](validator, properties, instance, schema)

    def choice(validator, alternatives, instance, schema):
        """`oneOf` whose alternatives are told apart by the constant of `type`, or, where one has no type, by a key that
        it requires: only the chosen one is checked."""
        kinds = {one["properties"]["type"]["const"]: one for one in alternatives if "type" in one["properties"]}
        kind = instance.get("type")
        marked = [one for one in alternatives if "type" not in one["properties"] and instance.keys() & one["required"]]
        if marked and kind is None:
            yield from validator.descend(instance, marked[0])
        elif kind in kinds:
            yield from validator.descend(instance, kinds[kind])
        else:
            yield ValidationError(f"type {kind!r} is unknown{hint(kind, kinds)}; allowed: {', '.join(kinds)}")

    def retrieve(uri: str) -> Resource:
        return DRAFT202012.create_resource(filled(schema.parent / uri))

    def is_number(checker, instance):
        """YAML has .nan and .inf, which are numbers, and useless as a learning rate."""
        return base.TYPE_CHECKER.is_type(instance, "number") and math.isfinite(instance)

    extended = validators.extend(
        base,
        {"properties": properties_with_defaults, "oneOf": choice},
        type_checker=base.TYPE_CHECKER.redefine("number", is_number),
    )
    return extended(filled(schema), registry=Registry(retrieve=retrieve))  # type: ignore[call-arg]  # attrs


def _deepest(error: ValidationError) -> ValidationError:
    """Of an error with alternatives below it, the one that says most."""
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    return error


def _explain(error: ValidationError) -> str:
    """One line: the key's path, the value found, what is allowed."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = _known_properties(error.schema, error.instance)
            extra = [name for name in error.instance if name not in known] or ["?"]
            where = f"{where}.{extra[0]}" if where else extra[0]
            if now := error.schema.get("renamed", {}).get(extra[0]):
                return f"{where}: an earlier release's key; expected {now}"
            train = "; `pretrained: null` beside it trains a new one" if "pretrained" in error.instance else ""
            return f"{where}: unknown key{hint(extra[0], known)}; allowed: {', '.join(sorted(known))}{train}"
        case "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            return f"{where + '.' if where else ''}{missing}: missing; it is required"
        case "type":
            wanted = error.validator_value
            wanted = [wanted] if isinstance(wanted, str) else wanted
            written_as = written.meant(error.instance, wanted)
            return f"{where}: {error.instance!r} is of the wrong type{written_as}; allowed: {' or '.join(wanted)}"
        case "const":
            return f"{where}: {error.instance!r}; allowed: {error.validator_value}"
        case "enum":
            allowed = [str(value) for value in error.validator_value]
            guess = hint(error.instance, allowed) or written.meant(error.instance, ["string"])
            return f"{where}: {error.instance!r}{guess}; allowed: {', '.join(allowed)}"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            bound = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}[error.validator]
            return f"{where}: {error.instance!r}; allowed: {bound} {error.validator_value}"
        case "pattern":
            return f"{where}: {error.instance!r}; allowed: lower-case letters, digits and inner hyphens"
        case _:
            return f"{where}: {error.message}"


def _known_properties(schema: Mapping[str, Any], instance: Any) -> list[str]:
    """Names of the properties that `schema` and the alternatives that apply to `instance` define."""
    names = list(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        if "if" not in part:
            names += _known_properties(part, instance)
        elif Draft202012Validator(part["if"]).is_valid(instance):
            names += _known_properties(part["then"], instance)
    return names
