"""What the tables of the whole study enumerate beside its models and decodings. No heavy imports."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.ssl import study as upstreams
from secateur.study.runs import decodings, languages, lm_folder, model_runs, used_corpora


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


def training_folders(config: Mapping[str, Any]) -> Iterator[str]:
    """Folders of all trainings: models, the language models that decodings use, and self-supervised encoders."""
    yield from (run.folder for run in model_runs(config))
    yield from (lm_folder(*run) for run in lm_runs(config))
    yield from (run.folder for _, run in upstreams.trained(config))
