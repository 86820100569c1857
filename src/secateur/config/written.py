"""What YAML 1.1 makes of values that were meant otherwise, for messages about them; and values of a command line."""

import datetime
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml

from secateur.config.scale import FULL


def meant(value: Any, wanted: Collection[str]) -> str:
    """A hint at how to write a value for YAML to be of a wanted JSON type; empty if there is none.

    YAML 1.1 takes `1e-3` for a text, `no` for false, `12:30` for 750, `010` for 8, `~` for nothing.
    """
    if isinstance(value, str):
        number = _number(value) if {"number", "integer"} & set(wanted) else ""
        return f" (YAML takes this for text; write {number}, without quotes)" if number else ""
    if "string" not in wanted:
        return ""
    if isinstance(value, bool):
        words = "yes, on or true" if value else "no, off or false"
        return f" (YAML takes {words} for a truth value; quote the word: '{'yes' if value else 'no'}')"
    if value is None:
        return " (YAML takes ~ and null for nothing; quote it: '~')"
    if isinstance(value, int | float):
        return " (YAML takes this for a number, 12:30 for 750 and 010 for 8; quote what you wrote: '12:30')"
    if isinstance(value, datetime.date):
        return f" (YAML takes this for a date; quote it: '{value}')"
    return ""


def from_command_line(config: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in which what Snakemake's `--config` gave has the types that a file would give it.

    Snakemake reads numbers and truth values, but those within a list or a mapping stay texts. What is given so stays
    as it is in the study's full form, too.

    Args:
        config: the configuration, what the command line gave included.
        words: that alone: by key.
    """
    lists = {key: value for key, value in words.items() if key in config and isinstance(value, list | Mapping)}
    found = dict(config) | {key: _typed(config[key], value) for key, value in lists.items()}
    if isinstance(found.get(FULL), Mapping) and FULL not in words:
        found[FULL] = {key: value for key, value in found[FULL].items() if key not in words}
    return found


def _typed(value: Any, given: Any) -> Any:
    if isinstance(given, Mapping) and isinstance(value, Mapping):
        return dict(value) | {key: _typed(value[key], item) for key, item in given.items() if key in value}
    if isinstance(given, list) and isinstance(value, list):
        return [_typed(item, one) for item, one in zip(value, given, strict=True)]
    if not isinstance(value, str) or value != given:
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:  # a text such as @a, which the schema takes or refuses
        return value


def odd_keys(value: Any, where: str = "") -> Iterator[str]:
    """Keys that are no text, which no key of a configuration is."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from odd_keys(item, f"{where}[{index}]")
    if isinstance(value, Mapping):
        for key, item in value.items():
            place = f"{where}.{key}".lstrip(".")
            if not isinstance(key, str):
                yield f"{place}: the key {key!r} is no text{meant(key, ['string'])}; allowed: text"
            yield from odd_keys(item, place)


def _number(text: str) -> str:
    """A number that Python reads as YAML 1.1 reads it; empty for what is none."""
    try:
        value = float(text)
    except ValueError:
        return ""
    if not re.search("[eE]", text):
        return text.strip()
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    mantissa, _, exponent = text.strip().lower().partition("e")
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"
