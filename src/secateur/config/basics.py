"""The keys that every study has: models, corpora, language models, searches, dense rows and conditions."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secateur.decoding import search as searches
from secateur.speech import corpora
from secateur.study import own
from secateur.study.checks import unfit, unknown, unlike, untrained

BESIDE_PIECES = 2
"""Tokens of a list of byte-pair pieces that are neither pieces nor blank: `<unk>` and `<sos/eos>`."""


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What no schema can say: names that refer to nothing, and impossible combinations."""
    yield from _of_models(config)
    yield from _of_corpora(config)
    yield from _of_language_models(config)
    yield from _of_searches(config)
    if not config["dense"] and not config["ssl"]:
        yield "dense: []; allowed: one model at least, or an entry in `ssl`"
    yield from _of_dense(config)
    yield from _of_conditions(config)
    for search in config["decode"]["searches"]:
        if search not in config["searches"]:
            yield unknown("decode.searches", search, "searches", config["searches"])


def _of_models(config: Mapping[str, Any]) -> Iterator[str]:
    for name, model in config["models"].items():
        if "own" in model:
            yield from untrained(config, f"models.{name}", model)
            continue  # it was built before
        where, encoder = f"models.{name}", model["encoder"]
        yield from untrained(config, where, model)
        yield from unlike(config, name)
        for part in ("encoder", "decoder") if "decoder" in model else ("encoder",):
            heads = model[part]["heads"]
            if encoder["dim"] % heads:
                yield f"{where}.{part}.heads: {heads} heads do not divide encoder.dim = {encoder['dim']}"
        if encoder["type"] == "conformer" and encoder["kernel"] % 2 == 0:
            yield f"{where}.encoder.kernel: {encoder['kernel']} is even; a Conformer's kernel is odd"
        if encoder["type"] == "emformer" and model["input"] != "stack":
            yield f"{where}.input: {model['input']!r}; allowed with an emformer: stack"
        heads = model.get("intermediate_ctc", {"layers": []})
        if heads.get("condition") and not heads["layers"]:
            yield f"{where}.intermediate_ctc.condition: true; allowed without layers, which would be heard: false"
        for layer in heads["layers"]:
            if layer >= encoder["layers"]:
                yield (
                    f"{where}.intermediate_ctc.layers: {layer} is not below the encoder's last layer; "
                    f"allowed: 1 to {encoder['layers'] - 1}"
                )


def _of_corpora(config: Mapping[str, Any]) -> Iterator[str]:
    for name, corpus in config["corpora"].items():
        for key, part in corpora.repeated_splits(corpus):
            yield f"corpora.{name}.{key}: {part!r} is the name of another split; allowed: another folder's (ln -s)"
        if "url" in corpus and not (corpus["root"] or corpus["url"]):
            yield (
                f"corpora.{name}.root: null, and so is url; allowed: the folder of the corpus "
                f"(see {corpus['recipe']!r} in docs/configuration.md), or a url to download from"
            )


def _of_language_models(config: Mapping[str, Any]) -> Iterator[str]:
    for name, lm in config["language_models"].items():
        for language, path in (lm["text"] or {}).items():
            if not Path(path).is_file():
                yield f"language_models.{name}.text.{language}: {path!r} is no file; allowed: a text file"
        yield from untrained(config, f"language_models.{name}", lm)
        if "own" in lm:
            continue
        if lm["dim"] % lm["heads"]:
            yield f"language_models.{name}.heads: {lm['heads']} heads do not divide dim = {lm['dim']}"


def _of_searches(config: Mapping[str, Any]) -> Iterator[str]:
    for name, search in config["searches"].items():
        lm = search.get("lm")
        if lm is not None and lm not in config["language_models"]:
            yield unknown(f"searches.{name}.lm", lm, "language_models", config["language_models"])
        # Characters are counted only when the data is there; the decoding job checks them before it reads any audio.
        pieces = config["tokens"]["size"] + BESIDE_PIECES
        for key in searches.fewer(search["type"]):
            if config["tokens"]["type"] == "bpe" and search[key] > pieces:
                yield f"searches.{name}.{key}: {search[key]}; allowed: at most the tokens besides blank, {pieces}"
    for name in used_searches(config):
        if name in config["searches"] and (problem := searches.missing(config["searches"][name]["type"])):
            yield f"searches.{name}: {problem}"


def _of_dense(config: Mapping[str, Any]) -> Iterator[str]:
    splits: list[str] = []
    for index, entry in enumerate(config["dense"]):
        where = f"dense[{index}]"
        if entry["model"] not in config["models"]:
            yield unknown(f"{where}.model", entry["model"], "models", config["models"])
        if entry["corpus"] not in config["corpora"]:
            yield unknown(f"{where}.corpus", entry["corpus"], "corpora", config["corpora"])
            continue
        for search in entry["searches"] or []:
            if search not in config["searches"]:
                yield unknown(f"{where}.searches", search, "searches", config["searches"])
        yield from unfit(config, where, entry["model"], entry["searches"] or config["decode"]["searches"])
        corpus = config["corpora"][entry["corpus"]]
        languages = corpus["languages"]
        splits += corpora.split_names(corpus)
        for scope in entry["scopes"]:
            for language in [] if scope in ("all", "each") else scope.split("-"):
                if language not in languages:
                    yield unknown(f"{where}.scopes", language, f"corpora.{entry['corpus']}.languages", languages)
    known = dict.fromkeys([*splits, *config["conditions"]])
    for split in config["decode"]["splits"]:
        if splits and split not in known:
            yield unknown("decode.splits", split, "`conditions` and the splits of any corpus in `dense`", known)


def _of_conditions(config: Mapping[str, Any]) -> Iterator[str]:
    splits = dict.fromkeys(split for corpus in config["corpora"].values() for split in corpora.split_names(corpus))
    for name, entry in config["conditions"].items():
        if name in splits:
            yield f"conditions.{name}: the name of a split of a corpus; allowed: another name"
        for search in entry["searches"] or []:
            if search not in config["searches"]:
                yield unknown(f"conditions.{name}.searches", search, "searches", config["searches"])
        spoken = dict.fromkeys(code for corpus in config["corpora"].values() for code in corpus["languages"])
        for language in entry["languages"] or []:
            if language not in spoken:
                yield unknown(f"conditions.{name}.languages", language, "the languages of any corpus", spoken)
        if entry["of"] not in splits:
            yield unknown(f"conditions.{name}.of", entry["of"], "the splits of any corpus", splits)
        if "corpus" in entry:
            yield from _of_another_corpus(config, name, entry)


def _of_another_corpus(config: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a condition that is another corpus: it has its split, and the languages that are heard."""
    where, other = f"conditions.{name}", entry["corpus"]
    if other not in config["corpora"]:
        yield unknown(f"{where}.corpus", other, "corpora", config["corpora"])
        return
    if entry["split"] not in (known := corpora.split_names(config["corpora"][other])):
        yield unknown(f"{where}.split", entry["split"], f"the splits of {other!r}", known)
    spoken = config["corpora"][other]["languages"]
    for corpus in dict.fromkeys(dense["corpus"] for dense in config["dense"] if dense["corpus"] in config["corpora"]):
        heard = entry["languages"] or config["corpora"][corpus]["languages"]
        lacking = [code for code in config["corpora"][corpus]["languages"] if code in heard and code not in spoken]
        if name in config["decode"]["splits"] and corpus != other and lacking:
            yield f"{where}.languages: {other!r} lacks {', '.join(lacking)} of {corpus!r}; name those that both have"


def leave_out_unbuilt(config: dict[str, Any]) -> None:
    """Where a search has no build, go on without it, and say so; unless there is no other search."""
    types = {name: config["searches"][name]["type"] for name in used_searches(config) if name in config["searches"]}
    unbuilt = [name for name, kind in types.items() if searches.unbuilt(kind)]
    lists = [
        entry
        for entry in (config["decode"], *(entry for name in own.DECODED for entry in config[name]))
        if entry["searches"]
    ]
    if not unbuilt or any(set(entry["searches"]) <= set(unbuilt) for entry in lists):
        return  # `problems` will say so
    for entry in lists:
        entry["searches"] = [name for name in entry["searches"] if name not in unbuilt]
    log = logging.getLogger(__name__)  # not the root logger: using that would print Snakemake's messages twice
    for name in unbuilt:
        log.warning("searches.%s is left out: it %s", name, searches.missing(types[name]))


def used_searches(config: Mapping[str, Any]) -> list[str]:
    """Names of the searches that anything is decoded with, each once."""
    entries = [entry for name in own.DECODED for entry in config[name]]
    names = [*config["decode"]["searches"], *(name for entry in entries for name in entry["searches"] or [])]
    return list(dict.fromkeys(names))
