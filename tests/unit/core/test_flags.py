"""Options as arguments of a command: their types, words, lists and defaults, and what their bounds refuse."""

import argparse
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from secateur.core import flags
from secateur.core.errors import SecateurError


@dataclass(frozen=True, kw_only=True)
class Toys:
    count: Annotated[int, {"minimum": 1}]
    """How many, in 100 %."""
    kind: Literal["soft", "hard"] = "soft"
    """Which."""
    all_sizes: Annotated[tuple[Annotated[float, {"minimum": 0}], ...], {"minItems": 1, "uniqueItems": True}] = (1.5, 2)
    """How large."""
    names: tuple[str, ...] | None = None
    """What they are called."""
    colours: tuple[Literal["red", "blue"], ...] = ()
    """How they look."""
    loud: bool = False
    """Whether."""
    told: int = 3
    # Without a docstring: no argument.


def parsed(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--output")
    flags.add(parser, Toys)
    assert "in 100 %." in parser.format_help()
    return flags.given(Toys, parser.parse_args(words))


def test_what_is_not_given_is_the_default_of_the_class():
    assert parsed("--count", "2", "--output", "x") == Toys(count=2)


def test_every_kind_of_key_is_read_from_its_argument():
    words = ("--count", "2", "--kind", "hard", "--all-sizes", "0", "2.5", "--names", "--colours", "red", "--loud")
    assert parsed(*words) == Toys(count=2, kind="hard", all_sizes=(0.0, 2.5), names=(), colours=("red",), loud=True)


@pytest.mark.parametrize(
    "words", [(), ("--count", "many"), ("--count", "1", "--kind", "wet"), ("--count", "1", "--told", "2")]
)
def test_the_parser_refuses_what_is_missing_no_number_no_word_or_no_argument(words, capsys):
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parsed(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--count", "0"), r"^count: 0; allowed: ≥ 1$"),
        (("--count", "1", "--all-sizes", "-1"), r"^all_sizes\[0\]: -1.0; allowed: ≥ 0$"),
        (("--count", "1", "--all-sizes", "1", "1"), r"^all_sizes: \[1.0, 1.0\]; allowed: each once$"),
    ],
)
def test_bounds_are_those_of_the_class(words, message):
    with pytest.raises(SecateurError, match=message):
        parsed(*words)


def test_a_key_of_a_plug_in_is_an_argument_too():
    parser = argparse.ArgumentParser()
    flags.add_key(parser, "drop_share", {"description": "Share.", "type": "number", "default": 0.3})
    flags.add_key(parser, "often", {"description": "Whether.", "type": "boolean", "default": False})
    assert vars(parser.parse_args([])) == {"drop_share": 0.3, "often": False}
    assert vars(parser.parse_args(["--drop-share", "1", "--often"])) == {"drop_share": 1.0, "often": True}
