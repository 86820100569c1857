"""Plug-ins of every kind are known by name in their own file alone: other code asks the registry what they declare."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from literals import texts

from secateur.config.schema import SCHEMA, read_yaml
from secateur.core.plugins import Plugins
from secateur.decoding.search import SEARCHES
from secateur.heads.policies import POLICIES
from secateur.layers.strategies import STRATEGIES
from secateur.models.types import TYPES
from secateur.speech.corpora import RECIPES
from secateur.ssl.known_tasks import TASKS

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src/secateur"
KINDS = {kind.kind: kind for kind in (SEARCHES, RECIPES, STRATEGIES, POLICIES, TASKS, TYPES)}
DOCUMENTED = ("reporting/published.py", "layers/evidence.py", "heads/evidence.py", "heads/claims/", "layers/claims/")
"""What documents say of plug-ins, and how it is found out whether that is so."""
OTHER_MEANINGS = {
    "beam": (  # the option: how many hypotheses are kept
        *("heads/commands.py", "scripts/head_times.py", "overview/comparisons.py", "ssl/tasks/asr.py"),
        *(
            "decoding/search/generate.py",
            "decoding/search/lexicon.py",
            "decoding/search/transducer_beam.py",
            "decoding/search/transducer_espnet.py",
            "watch/expected.py",
        ),
        "study/timing.py",
    ),
    "lexicon": ("ssl/tasks/pr.py",),  # a pronouncing dictionary
    "svcca": (  # a measure of likeness, beside cka
        *("scripts/layer_search.py", "scripts/similarity.py", "layers/plots.py", "layers/search.py"),
        "layers/reports/layers.py",
    ),
    "random": (  # an importance; how crops are placed; an encoder that nothing trained
        *("heads/importance.py", "heads/options.py", "heads/parts.py"),
        *("ssl/tasks/prompts.py", "ssl/study.py", "ssl/commands.py"),
    ),
    "generate": ("models/types.py", "models/whisper.py"),  # a part of models
    "global": (
        "pruning/engines/",
        "pruning/options.py",
        "heads/smaller_lm.py",
    ),  # what weights, or heads, are ranked with
    "sv": ("speech/corpora/numerals.py",),  # Swedish
    "er": ("speech/corpora/numerals.py",),  # the end of a numeral
    "ctc": (
        "layers/search.py",
        "decoding/onnx.py",
        "decoding/search/beam.py",
        "models/types.py",
        "exits/encoder.py",
    ),  # a part of models
    # Formats of folders say which type a model in one is of.
    **dict.fromkeys(("espnet_asr", "espnet_transducer"), ("models/formats/espnet.py",)),
    "espnet_lm": ("models/formats/espnet_lm.py",),
    "hf_ctc": ("models/formats/hf_ctc.py",),
    "whisper": ("models/formats/whisper.py", "models/upstream/config.py"),
}
"""Names that stand for something else as well, and where."""


def places() -> dict[str, set[str]]:
    """By file, as a path below `src/secateur` or the root, its texts."""
    files = [*SOURCE.rglob("*.py"), *(ROOT / "workflow").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
    return {str(file.relative_to(SOURCE if file.is_relative_to(SOURCE) else ROOT)): texts(file) for file in files}


TEXTS = places()


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_nothing_else_knows_a_plug_in_by_name(kind: Plugins):
    own = {name: plugin.module.removeprefix("secateur.").replace(".", "/") for name, plugin in kind.all().items()}
    found = {
        (place, name)
        for place, known in TEXTS.items()
        for name in known & own.keys()
        if place != f"{own[name]}.py" and not place.startswith((*DOCUMENTED, *OTHER_MEANINGS.get(name, ())))
    }
    assert found == set()


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_no_part_of_the_schema_has_a_plug_in_as_its_default(kind: Plugins):
    for file in SCHEMA.parent.glob("*.yaml"):
        assert not set(kind.all()) & set(defaults(read_yaml(file))), file


def defaults(schema: Any) -> Iterator[Any]:
    """All defaults in a schema that are texts, and what is in those that are lists."""
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if key == "default":
            yield from [value] if isinstance(value, str) else value if isinstance(value, list) else ()
        elif isinstance(value, dict | list):
            yield from defaults(value)


def test_defaults_are_the_plug_ins_that_say_so(tmp_path):
    for name, shown in {
        "one": {"order": 2, "default": True},
        "two": {"order": 1, "default": True},
        "three": {},
    }.items():
        (tmp_path / f"{name}.py").write_text(f'"""Number {name}."""\n\nSHOWN = {shown}\n')
    assert Plugins("number", "numbers", tmp_path).usual() == ["two", "one"]


@pytest.mark.parametrize("name", OTHER_MEANINGS)
def test_every_other_meaning_is_still_there(name):
    """So that the list of exceptions does not grow old."""
    for beginning in OTHER_MEANINGS[name]:
        assert any(name in known for place, known in TEXTS.items() if place.startswith(beginning)), beginning
