"""The JSON Schema of a study: files in YAML, filled in with what plug-ins declare."""

import copy
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from secateur.compose import checks as compose
from secateur.compose.options import ImportanceOptions, Step
from secateur.core import options
from secateur.core.errors import SecateurError
from secateur.core.plugins import Plugin, closed
from secateur.decoding import search
from secateur.decoding.options import TimingOptions, TuningOptions
from secateur.exits.options import ExitOptions
from secateur.heads import checks as heads
from secateur.heads.options import HeadOptions, LmPruningOptions, RecoveryOptions
from secateur.layers import checks as layers
from secateur.layers.options import LayerSearchOptions
from secateur.models import types
from secateur.pruning import checks as prune
from secateur.pruning.options import CubicLevels, ScheduleOptions
from secateur.speech import conditions, corpora
from secateur.ssl import checks as ssl
from secateur.ssl.options import PredictionOptions, SpeedOptions, Student, TargetOptions
from secateur.streaming.options import StreamingOptions
from secateur.study.margins import Margins
from secateur.training.options import TrainingOptions

SCHEMA = Path(__file__).parent / "schemas" / "config.schema.yaml"
"""The schema of a study; its parts, one a section, and files that it refers to lie beside it."""
Document = dict[str, Any]


@cache
def filled(file: Path) -> Document:
    """A file of the schema, with its parts and the plug-ins that there are."""
    document = read_yaml(file)
    for part in document.pop("parts", ()):
        for kind, entries in read_yaml(file.with_name(part)).items():
            document[kind] = document.get(kind, {}) | entries
    for fill in FILLS.get(file.name, ()):
        fill(document)
    return document


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises SecateurError if it is not there, or not YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file") from error
    except yaml.YAMLError as error:
        raise SecateurError(f"{path}: not YAML: {error}") from error


def _corpora(document: Document) -> None:
    """Name the recipes, each with its keys."""
    corpus = document["$defs"]["corpus"]
    recipes = corpus["properties"]["recipe"]
    corpora.RECIPES.describe(recipes, recipes)
    common: Document = {key: {} for key in corpus["properties"]}
    for name, recipe in corpora.RECIPES.all().items():
        condition = {"required": ["recipe"], "properties": {"recipe": {"const": name}}}
        own = closed(recipe.options, **common)
        corpus["allOf"].append({"if": condition, "then": own | {"description": recipe.summary}})


def _models(document: Document) -> None:
    """Name the types of models, each with its keys."""
    for section, definition in (("models", "model"), ("language_models", "language_model")):
        document["$defs"][definition]["oneOf"] = [document["$defs"]["pretrained"], *_by_type(types.of(section))]
    document["$defs"]["language_model"]["oneOf"].append(document["$defs"]["pruned_lm"])


def _conditions(document: Document) -> None:
    """Name the kinds of conditions, each with its options."""
    entry = document["properties"]["conditions"]["additionalProperties"]
    shared = entry.pop("properties")
    entry["oneOf"] = _by_type(conditions.CONDITIONS.all(), **shared)


def _searches(document: Document) -> None:
    """Name the searches, each with its options."""
    document["$defs"]["search"]["oneOf"] = _by_type(search.SEARCHES.all())


ENTRIES = {
    "layers": LayerSearchOptions,
    "exits": ExitOptions,
    "streaming": StreamingOptions,
    "heads": HeadOptions,
    "compose": ImportanceOptions,
}
"""Sections whose entries have the keys of a class, among others."""


def _options(document: Document) -> None:
    """Describe what classes have the options of."""
    document["$defs"]["training"] = options.schema(TrainingOptions)
    document["properties"]["claims"] |= options.schema(Margins)
    timing = document["properties"]["timing"]
    timing["properties"] = _keys(TimingOptions) | timing["properties"]
    schedule = document["$defs"]["schedule"]["properties"]
    schedule["levels"]["properties"] = _keys(CubicLevels)
    schedule |= _keys(ScheduleOptions)
    for section, kind in ENTRIES.items():
        entry = _entry(document, section)
        entry |= _keys(kind)
    for name, kind in (("tuning", TuningOptions), ("recovery", RecoveryOptions)):
        _entry(document, "heads")[name]["properties"] = _keys(kind)
    document["$defs"]["step"]["properties"] = _keys(Step)
    encoder = _entry(document, "ssl")
    document["$defs"]["pruned_lm"]["properties"]["pruned"]["properties"] |= _keys(LmPruningOptions)
    encoder["pretraining"]["properties"] |= _keys(PredictionOptions)
    iterations = encoder["pretraining"]["properties"]["iterations"]["items"]["properties"]
    iterations |= _keys(TargetOptions)
    encoder["speed"]["properties"] |= _keys(SpeedOptions)
    encoder["students"]["items"] = _with(encoder["students"]["items"], options.schema(Student))


def _entry(document: Document, section: str) -> Document:
    """The keys of an entry of a section that is a list."""
    return document["properties"][section]["items"]["properties"]


def _keys(kind: Any) -> Document:
    """The keys that an options' class stands for; what plug-ins add to them is not added to the class."""
    return copy.deepcopy(options.schema(kind)["properties"])


def _with(shared: Document, union: Document) -> Document:
    """The schema of a union of options' classes, whose alternatives all have the keys of `shared`, too."""
    alternatives = [
        {
            **one,
            "required": [*shared["required"], *one["required"]],
            "properties": shared["properties"] | one["properties"],
        }
        for one in union["oneOf"]
    ]
    return union | {"oneOf": alternatives}


def _by_type(plugins: Mapping[str, Plugin], **shared: Document) -> list[Document]:
    """Alternatives that the key `type` tells apart; `shared` are keys of all."""
    return [
        closed(plugin.options, type={"const": name}, **shared) | {"description": plugin.summary}
        for name, plugin in plugins.items()
    ]


FILLS: dict[str, tuple[Callable[[Document], None], ...]] = {
    SCHEMA.name: (
        _options,
        prune.fill_schema,
        layers.fill_schema,
        heads.fill_schema,
        compose.fill_schema,
        _models,
        _searches,
        _conditions,
    ),
    "corpora.schema.yaml": (_corpora,),
    "superb.schema.yaml": (ssl.fill_schema,),
}
"""What fills in each file."""
