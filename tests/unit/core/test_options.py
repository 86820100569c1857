"""Options as classes: the schema that they give, what reading them refuses, and where they may be written."""

import argparse
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from jsonschema import Draft202012Validator

from secateur.compose.options import ImportanceOptions, Step
from secateur.config.schema import ENTRIES, SCHEMA, filled
from secateur.core import flags
from secateur.core.errors import SecateurError
from secateur.core.options import argument, read, schema
from secateur.decoding.options import BeamAmount, TimedGroup, TimingOptions, TuningOptions
from secateur.exits.options import ExitOptions
from secateur.heads.options import EstimateOptions, HeadOptions, LmPruningOptions, RecoveryOptions, SampleOptions
from secateur.layers.options import LayerSearchOptions
from secateur.pruning.options import CubicLevels, RankingOptions, ScheduleOptions
from secateur.scripts import features, layer_search, prune, ssl_distill, tokens, transcribe_stream
from secateur.scripts.timing import timed_groups
from secateur.ssl.options import GatedStudent, LogAlpha, PredictionOptions, SpeedOptions, Student, TargetOptions
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
    sizes: Annotated[tuple[Annotated[int, {"minimum": 1}], ...] | None, {"minItems": 1}] = None
    """None, or some."""
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
        "sizes": {
            "description": "None, or some.",
            "type": ["array", "null"],
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "default": None,
        },
    }


@dataclass(frozen=True, kw_only=True)
class Toy:
    sizes: Annotated[tuple[Annotated[int, {"minimum": 1}], ...], {"minItems": 1, "uniqueItems": True}] = (1, 2)
    """How large."""


@dataclass(frozen=True, kw_only=True)
class Ball(Toy):
    """It rolls.

    More."""

    type: Literal["ball"] = "ball"
    """Which."""
    name: str | None = None
    """What it is called."""


@dataclass(frozen=True, kw_only=True)
class Cube(Toy):
    """It stays."""

    type: Literal["cube"] = "cube"
    """Which."""
    edge: float
    """How long."""


def test_a_union_is_told_apart_by_type_and_has_what_bases_have():
    found = schema(Ball | Cube)
    Draft202012Validator.check_schema(found)
    ball, cube = found["oneOf"]
    assert (ball["description"], ball["required"]) == ("It rolls.", ["type"])
    assert (cube["description"], cube["required"]) == ("It stays.", ["type", "edge"])
    assert ball["properties"] == {
        "sizes": {
            "description": "How large.",
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "uniqueItems": True,
            "default": [1, 2],
        },
        "type": {"description": "Which.", "const": "ball"},
        "name": {"description": "What it is called.", "type": ["string", "null"], "default": None},
    }
    assert read(Ball | Cube, {"type": "ball", "sizes": [3], "name": "red"}) == Ball(sizes=(3,), name="red")
    assert read(Ball | Cube, {"type": "cube", "edge": 1}) == Cube(edge=1)


UNFIT = {
    "no type": ({"edge": 1}, r"^toy\.type: missing; allowed: ball, cube$"),
    "another type": ({"type": "car"}, r"^toy\.type: 'car'; allowed: ball, cube$"),
    "a key of another": ({"type": "ball", "edge": 1}, r"^toy\.edge: unknown key; allowed: sizes, type, name$"),
    "none": ({"type": "ball", "sizes": []}, r"^toy\.sizes: \[\]; allowed: 1 or more$"),
    "twice": ({"type": "ball", "sizes": [2, 2]}, r"^toy\.sizes: \[2, 2\]; allowed: each once$"),
    "item": ({"type": "ball", "sizes": [2, 0]}, r"^toy\.sizes\[1\]: 0; allowed: ≥ 1$"),
    "no list": ({"type": "ball", "sizes": 2}, r"^toy\.sizes: 2 is of the wrong type; allowed: array$"),
    "no text": ({"type": "ball", "name": 2}, r"^toy\.name: 2 is of the wrong type; allowed: string or null$"),
}


@pytest.mark.parametrize(("values", "message"), UNFIT.values(), ids=UNFIT)
def test_a_mistake_in_a_union_or_a_list_is_one_line(values, message):
    with pytest.raises(SecateurError, match=message):
        read(Ball | Cube, values, "toy")


def test_they_are_read_from_json_a_file_or_a_mapping(tmp_path):
    wanted = Toys(count=3, inner=Inner(share=0))
    (tmp_path / "toys").write_text('{"count": 3, "inner": {"share": 0}}')
    assert (
        argument(Toys, "toys")(f"@{tmp_path / 'toys'}")
        == argument(Toys, "toys")('{"count": 3, "inner": {"share": 0}}')
        == wanted
    )
    assert read(Toys, {"count": 3, "told": 2}).told == 2
    assert [read(Toys, {"count": 3, "sizes": sizes}).sizes for sizes in (None, [2, 1])] == [None, (2, 1)]
    assert [read(Toys, {"count": 3, "warm": warm}).warm for warm in (None, 1, 2.5)] == [None, 1, 2.5]


MISTAKES = {
    "unknown": (
        {"count": 1, "cuont": 1},
        r"^toys\.cuont: unknown key; allowed: count, kind, loud, inner, warm, sizes, told$",
    ),
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


def test_a_student_is_one_class_for_the_schema_the_command_line_and_the_library():
    alternatives = filled(SCHEMA)["properties"]["ssl"]["items"]["properties"]["students"]["items"]["oneOf"]
    for found, own in zip(alternatives, schema(Student)["oneOf"], strict=True):
        assert found["properties"].keys() - own["properties"].keys() == {"name", "training", "second"}
        assert {name: found["properties"][name] for name in own["properties"]} == own["properties"]
        assert found["required"] == ["name", "training", *own["required"]]
    told = argument(Student, "student")('{"type": "gates", "distil": [1], "sparsity": 0.5, "log_alpha": {"qk": 3}}')
    assert told == GatedStudent(distil=(1,), sparsity=0.5, log_alpha=LogAlpha(qk=3)) and told.log_alpha.mha == 10


def test_tuning_and_timing_are_classes_for_the_schema_the_command_line_and_the_library():
    sections = filled(SCHEMA)["properties"]
    assert sections["heads"]["items"]["properties"]["tuning"]["properties"] == schema(TuningOptions)["properties"]
    timing, shared = sections["timing"]["properties"], schema(TimingOptions)["properties"]
    assert {name: timing[name] for name in shared} == shared and timing.keys() - shared.keys() == {"targets"}
    assert timing["beam"]["properties"]["rounds"]["default"] == BeamAmount().rounds != TimingOptions().rounds
    told = timed_groups('{"quick": {"searches": ["one"], "rounds": 2}}')
    assert told == {"quick": TimedGroup(searches=("one",), rounds=2)}
    with pytest.raises(SecateurError, match=r"^groups\.quick\.rounds: 0; allowed: ≥ 1$"):
        timed_groups('{"quick": {"searches": ["one"], "rounds": 0}}')


def test_entries_have_the_keys_of_classes_for_the_schema_the_command_line_and_the_library():
    sections = filled(SCHEMA)["properties"]
    assert set(ENTRIES) == {"layers", "exits", "streaming", "heads", "compose"}
    for section, kind in ENTRIES.items():
        found, own = sections[section]["items"]["properties"], schema(kind)["properties"]
        assert {name: found[name] for name in own} == own
    parser = argparse.ArgumentParser()
    layer_search.add_arguments(parser)
    words = ["--model", "m", "--tokens", "t", "--data", "d", "--features", "f", "--output", "o", "--objective", "wer"]
    assert flags.given(LayerSearchOptions, parser.parse_args(words)) == LayerSearchOptions(objective="wer")


def test_exits_are_by_default_those_of_the_model():
    """After its intermediate heads, at all mean depths between the first of them and the last layer."""
    assert ExitOptions().of_model([4, 2], layers=6) == ExitOptions(at=(2, 4), mean_layers=(5, 4, 3))
    assert ExitOptions(at=(3,), mean_layers=(3.5,)).of_model([4, 2], 6) == ExitOptions(at=(3,), mean_layers=(3.5,))
    assert ExitOptions().of_model([], 6).at == ()


def test_steps_schedules_and_recovery_are_classes_for_the_schema_and_the_library():
    """Where plug-ins add their names, the class does not know them."""
    document = filled(SCHEMA)
    heads = document["properties"]["heads"]["items"]["properties"]["recovery"]["properties"]
    schedule = document["$defs"]["schedule"]["properties"]
    found = {
        Step: document["$defs"]["step"]["properties"],
        RecoveryOptions: heads,
        ScheduleOptions: schedule,
        CubicLevels: schedule["levels"]["properties"],
    }
    for kind, described in found.items():
        for name, key in schema(kind)["properties"].items():
            for part in ("type", "default", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "const"):
                assert described[name].get(part) == key.get(part), (kind, name, part)
    assert (
        heads["policies"]["items"]["enum"] and "enum" not in schema(RecoveryOptions)["properties"]["policies"]["items"]
    )
    assert document["$defs"]["step"]["properties"]["mask"]["enum"] and "enum" not in schema(Step)["properties"]["mask"]


def test_the_flags_of_pruning_are_the_keys_of_a_schedule_that_say_what_is_ranked():
    parser = argparse.ArgumentParser()
    prune.add_arguments(parser)
    words = ["--method", "lap", "--start", "s", "--data", "d", "--features", "f", "--languages", "en", "--tokens", "t"]
    words += ["--output", "o", "--training", '{"steps": 1, "learning_rate": 1}', "--exclude", "embed", "joiner"]
    assert flags.given(RankingOptions, parser.parse_args(words)) == RankingOptions(exclude=("embed", "joiner"))


def test_masked_prediction_is_one_class_for_the_schema_the_command_line_and_the_library():
    pretraining = filled(SCHEMA)["properties"]["ssl"]["items"]["properties"]["pretraining"]["properties"]
    shared = schema(PredictionOptions)["properties"]
    assert pretraining.keys() - shared.keys() == {"crop_seconds", "iterations"}
    assert {name: pretraining[name] for name in shared} == shared and "clusters" not in shared
    assert argument(PredictionOptions, "head")('{"clusters": 2}') == PredictionOptions(clusters=2)


def test_what_is_clustered_timed_and_pruned_are_classes_for_the_schema_and_the_command_line():
    document = filled(SCHEMA)
    encoder = document["properties"]["ssl"]["items"]["properties"]
    found = {
        TargetOptions: encoder["pretraining"]["properties"]["iterations"]["items"],
        SpeedOptions: encoder["speed"],
        LmPruningOptions: document["$defs"]["pruned_lm"]["properties"]["pruned"],
    }
    others = {
        TargetOptions: {"training", "guide", "again"},
        SpeedOptions: {"seconds", "base"},
        LmPruningOptions: {"of"},
    }
    for kind, described in found.items():
        own = schema(kind)["properties"]
        assert {name: described["properties"][name] for name in own} == own
        assert described["properties"].keys() - own.keys() == others[kind]
        parser = argparse.ArgumentParser()
        flags.add(parser, kind)
        needed = {"clusters": 9} if kind is TargetOptions else {}
        words = [word for name, value in needed.items() for word in (f"--{name}", str(value))]
        assert flags.given(kind, parser.parse_args(words)) == kind(**needed)


def test_importances_are_estimated_alike_by_studies_compositions_and_commands():
    assert HeadOptions().utterances == ImportanceOptions().utterances == EstimateOptions().utterances == 100
    assert issubclass(HeadOptions, EstimateOptions) and issubclass(EstimateOptions, SampleOptions)
    alone = schema(ImportanceOptions)["properties"]["importance"]["enum"]
    assert {*schema(HeadOptions)["properties"]["importances"]["items"]["enum"]} - {*alone} == {"gradient-again"}


@pytest.mark.parametrize(
    ("script", "section", "keys"),
    [
        (tokens, "tokens", ("type", "size")),
        (features, "features", ("mel_bins", "speeds")),
        (ssl_distill, "ssl", ("crop_seconds", "log_every")),
        (transcribe_stream, "streaming", ("milliseconds",)),
    ],
)
def test_arguments_that_are_keys_have_their_defaults(script, section, keys):
    """Those that are not made of a class."""
    parser, described = argparse.ArgumentParser(), filled(SCHEMA)["properties"][section]
    script.add_arguments(parser)
    described = described.get("items", described)["properties"]
    assert {key: parser.get_default(key) for key in keys} == {key: described[key]["default"] for key in keys}
