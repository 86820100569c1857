"""What sections have in common that decode parts or forms of models which others made. No heavy imports."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from secateur.study.runs import Decoding, Kind, ModelRun, Timed, languages, splits

One = TypeVar("One", bound=Decoding)

Entries = Iterable[tuple[Mapping[str, Any], ModelRun]]
"""Models, each with the entry of the section that is about it."""


def decoded(config: Mapping[str, Any], entries: Entries, decoding: type[One]) -> Iterator[One]:
    """Every decoding of these models: by split, language and search of the entry."""
    for entry, run in entries:
        for split in splits(config, run.corpus):
            for language in languages(config, run.corpus, run.scope):
                for search in entry["searches"]:
                    yield decoding(run, split, language, search)


def first_seeds(config: Mapping[str, Any], entries: Entries) -> Iterator[tuple[ModelRun, str]]:
    """The models of the first seed, with each search of the entry: what is timed."""
    for entry, run in entries:
        if run.seed == config["seeds"][0]:
            for search in entry["searches"]:
                yield run, search


def no_models(timed: Callable[[Mapping[str, Any]], Iterator[Timed]]) -> Kind:
    """The kind of a section that makes no model of its own, and only has what is there timed."""
    return Kind(
        owns=lambda method: False,
        runs=lambda config: iter(()),
        parents=_none,
        training=_none,
        searches=_none,
        shape=lambda config: {},
        timed=timed,
    )


def _none(config: Mapping[str, Any], run: ModelRun) -> Any:
    raise AssertionError(f"{run.folder}: this section makes no model of its own")
