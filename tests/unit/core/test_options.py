"""Options as classes: the schema that they give, what reading them refuses, and where they may be written."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from jsonschema import Draft202012Validator

from secateur.config.schema import SCHEMA, filled
from secateur.core.errors import SecateurError
from secateur.core.options import argument, read, schema
from secateur.ssl.options import PredictionOptions
from secateur.training.options import TrainingOptions


@dataclass(frozen=True)
class Inner:
    share: Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}] = 0.5
    """A share."""


@dataclass(frozen=True, kw_only=True)
class Toys:
    count: Annotated[int, {"minimum": 1}]
    """How
    many."""
    kind: Literal["soft", "hard"] = "soft"
    """Which."""
    loud: bool = False
    """Whether."""
    inner: Inner = field(default_factory=Inner)
    """More."""
    warm: Annotated[float | None, {"minimum": 1}] = None
    """Or not."""
    told: int = 0


def test_the_schema_has_types_bounds_defaults_and_docstrings():
    found = schema(Toys)
    Draft202012Validator.check_schema(found)
    assert found["required"] == ["count"] and not found["additionalProperties"]
    assert found["properties"] == {
        "count": {"description": "How many.", "type": "integer", "minimum": 1},
        "kind": {"description": "Which.", "enum": ["soft", "hard"], "default": "soft"},
        "loud": {"description": "Whether.", "type": "boolean", "default": False},
        "inner": {**schema(Inner), "description": "More.", "default": {}},
        "warm": {"description": "Or not.", "type": ["number", "null"], "minimum": 1, "default": None},
    }


def test_they_are_read_from_json_a_file_or_a_mapping(tmp_path):
    wanted = Toys(count=3, inner=Inner(share=0))
    (tmp_path / "toys").write_text('{"count": 3, "inner": {"share": 0}}')
    assert (
        argument(Toys, "toys")(f"@{tmp_path / 'toys'}")
        == argument(Toys, "toys")('{"count": 3, "inner": {"share": 0}}')
        == wanted
    )
    assert read(Toys, {"count": 3, "told": 2}).told == 2
    assert [read(Toys, {"count": 3, "warm": warm}).warm for warm in (None, 1, 2.5)] == [None, 1, 2.5]


MISTAKES = {
    "unknown": ({"count": 1, "cuont": 1}, r"^toys\.cuont: unknown key; allowed: count, kind, loud, inner, warm, told$"),
    "missing": ({"kind": "soft"}, r"^toys\.count: missing; it is required$"),
    "bound": ({"count": 0}, r"^toys\.count: 0; allowed: ≥ 1$"),
    "bound below": ({"count": 1, "inner": {"share": 1}}, r"^toys\.inner\.share: 1; allowed: < 1$"),
    "word": ({"count": 1, "kind": "wet"}, r"^toys\.kind: 'wet'; allowed: soft, hard$"),
    "text for a number": ({"count": "1"}, r"^toys\.count: '1' is of the wrong type; allowed: integer$"),
    "truth for a number": ({"count": True}, r"^toys\.count: True is of the wrong type; allowed: integer$"),
    "number for a truth": ({"count": 1, "loud": 1}, r"^toys\.loud: 1 is of the wrong type; allowed: boolean$"),
    "too cold": ({"count": 1, "warm": 0.5}, r"^toys\.warm: 0.5; allowed: ≥ 1$"),
    "text for a number or none": (
        {"count": 1, "warm": "1"},
        r"^toys\.warm: '1' is of the wrong type; allowed: number or ",
    ),
    "no keys": ({"count": 1, "inner": 3}, r"^toys\.inner: expected keys with values, got 3$"),
}


@pytest.mark.parametrize(("values", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_path_value_and_what_is_allowed(values, message):
    with pytest.raises(SecateurError, match=message):
        read(Toys, values, "toys")


def test_on_the_command_line_a_mistake_names_its_argument():
    with pytest.raises(SecateurError, match=r"^toys\.count: missing"):
        argument(Toys, "toys")("{}")


def test_a_training_is_one_class_for_the_schema_the_command_line_and_the_library():
    described = filled(SCHEMA)["$defs"]["training"]
    assert described == schema(TrainingOptions) and "cycles" not in described["properties"]
    assert read(TrainingOptions, {"steps": 5, "learning_rate": 1, "cycles": 2}).specaug.time_masks == 2


def test_masked_prediction_is_one_class_for_the_schema_the_command_line_and_the_library():
    pretraining = filled(SCHEMA)["properties"]["ssl"]["items"]["properties"]["pretraining"]["properties"]
    shared = schema(PredictionOptions)["properties"]
    assert pretraining.keys() - shared.keys() == {"crop_seconds", "iterations"}
    assert {name: pretraining[name] for name in shared} == shared and "clusters" not in shared
    assert argument(PredictionOptions, "head")('{"clusters": 2}') == PredictionOptions(clusters=2)
