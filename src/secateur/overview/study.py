"""What the tables of the whole study enumerate beside its models and decodings. No heavy imports."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.compose import study as compose
from secateur.decoding.search import SEARCHES
from secateur.exits import study as exits
from secateur.exported import study as exported
from secateur.heads import study as heads
from secateur.layers import study as layers
from secateur.ssl import study as upstreams
from secateur.study.runs import (
    DEV,
    Decoding,
    ModelRun,
    decodings,
    languages,
    lexicon_folder,
    lm_folder,
    model_runs,
    used_corpora,
)


def corpus_languages(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(corpus, language) of all speech that is used."""
    for corpus in used_corpora(config):
        for language in languages(config, corpus, "all"):
            yield corpus, language


def lm_runs(config: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(corpus, language model, seed) of the language models that decodings use."""
    found = (
        (decoding.run.corpus, lm, decoding.run.seed)
        for decoding in decodings(config)
        if (lm := config["searches"][decoding.search].get("lm"))
    )
    return list(dict.fromkeys(found))


def lexicons(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(corpus, search) of the decodings that search by what they make of the training text."""
    found = dict.fromkeys((one.run.corpus, one.search) for one in all_decodings(config))
    return [one for one in found if saved(config["searches"][one[1]])]


def lexicon_files(config: Mapping[str, Any]) -> list[str]:
    """The files of `lexicons`, relative to the study's results."""
    return [
        f"{lexicon_folder(corpus, search)}/{file}"
        for corpus, search in lexicons(config)
        for file in saved(config["searches"][search])
    ]


def saved(search: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the files that an entry of `searches` writes of the training text."""
    return SEARCHES.named(search["type"]).get("SAVES", ())


def training_folders(config: Mapping[str, Any]) -> Iterator[str]:
    """Folders of all trainings: models, the language models that decodings use, and self-supervised encoders."""
    yield from (run.folder for run in model_runs(config))
    yield from (lm_folder(*run) for run in lm_runs(config))
    yield from (run.folder for _, run in upstreams.trained(config))


def dense_of(run: ModelRun) -> ModelRun:
    """The dense model of all languages that a model is of the same size as, or was made from."""
    return ModelRun(run.corpus, run.model, "all", run.seed)


def all_decodings(config: Mapping[str, Any]) -> Iterator[Decoding]:
    """Those of models and of all their sub-models."""
    yield from decodings(config)
    yield from sub_model_decodings(config)
    yield from heads.combined_decodings(config)
    yield from compose.bare_decodings(config)


def sub_model_decodings(config: Mapping[str, Any]) -> Iterator[Decoding]:
    """Those of several sub-models at once, which have no checkpoint of their own."""
    yield from layers.decodings(config)
    yield from exits.decodings(config)
    yield from exported.decodings(config)
    yield from heads.decodings(config)


def against_dense(config: Mapping[str, Any]) -> Iterator[tuple[Decoding, Decoding]]:
    """Every decoding of what was made from a dense model, and that of this model, on data that are not for choosing.

    Sub-models stand beside the whole model that they are part of.
    """
    known, parts = set(decodings(config)), set(sub_model_decodings(config))
    for mine in all_decodings(config):
        whole = mine.run if mine in parts else dense_of(mine.run)
        other = Decoding(whole, mine.split, mine.language, mine.search)
        if mine.split != DEV and other in known and (mine in parts or mine.run.method != whole.method):
            yield mine, other
