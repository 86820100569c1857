"""Checking a study's configuration before anything runs: schema, defaults, and what a schema cannot say."""

import copy
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from secateur.compose import checks as compose
from secateur.core.errors import SecateurError
from secateur.decoding import search as searches
from secateur.exits import checks as exits
from secateur.exported import checks as exported
from secateur.heads import checks as heads
from secateur.layers import checks as layers
from secateur.pruning import checks as prune
from secateur.speech import corpora
from secateur.ssl import checks as ssl
from secateur.streaming import checks as streaming
from secateur.study import folders, own, pruned_lms, written
from secateur.study.checks import hint, unfit, unknown, unlike, untrained
from secateur.study.schema import SCHEMA, filled

SECTIONS = (folders, own, pruned_lms, prune, layers, exits, heads, compose, exported, streaming, ssl)
BESIDE_PIECES = 2
"""Tokens of a list of byte-pair pieces that are neither pieces nor blank: `<unk>` and `<sos/eos>`."""


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given`, a study as read from YAML, with the defaults of the schema filled in.

    Raises SecateurError with the path of the key, the value found and what is allowed.
    """
    config = copy.deepcopy(dict(given))
    if odd := list(written.odd_keys(config)):
        raise SecateurError("\n".join(odd))
    own.leave_out_nulls(config)
    errors = list(_validator(SCHEMA).iter_errors(config))
    if errors:
        raise SecateurError("\n".join(sorted({_explain(error) for error in map(_deepest, errors)})))
    for section in SECTIONS:
        section.expand(config)
    _leave_out_unbuilt(config)
    problems = list(dict.fromkeys(_problems(config)))
    if problems:
        raise SecateurError("\n".join(problems))
    layers.add_models(config)
    return config


def _leave_out_unbuilt(config: dict[str, Any]) -> None:
    """Where a search has no build, go on without it, and say so; unless there is no other search."""
    types = {name: config["searches"][name]["type"] for name in used_searches(config) if name in config["searches"]}
    unbuilt = [name for name, kind in types.items() if searches.unbuilt(kind)]
    lists = [
        entry
        for entry in (config["decode"], *(entry for name in own.DECODED for entry in config[name]))
        if entry["searches"]
    ]
    if not unbuilt or any(set(entry["searches"]) <= set(unbuilt) for entry in lists):
        return  # _problems will say so
    for entry in lists:
        entry["searches"] = [name for name in entry["searches"] if name not in unbuilt]
    log = logging.getLogger(__name__)  # not the root logger: using that would print Snakemake's messages twice
    for name in unbuilt:
        log.warning("searches.%s is left out: it %s", name, searches.missing(types[name]))


def _problems(config: Mapping[str, Any]) -> Iterator[str]:
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
    for section in SECTIONS:
        yield from section.problems(config)


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


def used_searches(config: Mapping[str, Any]) -> list[str]:
    """Names of the searches that anything is decoded with, each once."""
    entries = [entry for name in own.DECODED for entry in config[name]]
    names = [*config["decode"]["searches"], *(name for entry in entries for name in entry["searches"] or [])]
    return list(dict.fromkeys(names))


def _validator(schema: Path) -> Draft202012Validator:
    """A validator that fills in defaults as it goes down, and finds the files that the schema refers to."""
    base = Draft202012Validator

    def properties_with_defaults(validator, properties, instance, schema):
        if validator.is_type(instance, "object"):
            for name, subschema in properties.items():
                if "default" in subschema:
                    instance.setdefault(name, copy.deepcopy(subschema["default"]))
        yield from base.VALIDATORS["properties"](validator, properties, instance, schema)

    def choice(validator, alternatives, instance, schema):
        """`oneOf` whose alternatives are told apart by the constant of `type`, or, where one has no type, by a key that
        it requires: only the chosen one is checked."""
        kinds = {one["properties"]["type"]["const"]: one for one in alternatives if "type" in one["properties"]}
        kind = instance.get("type")
        marked = [one for one in alternatives if "type" not in one["properties"] and instance.keys() & one["required"]]
        if marked and kind is None:
            yield from validator.descend(instance, marked[0])
        elif kind in kinds:
            yield from validator.descend(instance, kinds[kind])
        else:
            yield ValidationError(f"type {kind!r} is unknown{hint(kind, kinds)}; allowed: {', '.join(kinds)}")

    def retrieve(uri: str) -> Resource:
        return DRAFT202012.create_resource(filled(schema.parent / uri))

    def is_number(checker, instance):
        """YAML has .nan and .inf, which are numbers, and useless as a learning rate."""
        return base.TYPE_CHECKER.is_type(instance, "number") and math.isfinite(instance)

    extended = validators.extend(
        base,
        {"properties": properties_with_defaults, "oneOf": choice},
        type_checker=base.TYPE_CHECKER.redefine("number", is_number),
    )
    return extended(filled(schema), registry=Registry(retrieve=retrieve))  # type: ignore[call-arg]  # attrs


def _deepest(error: ValidationError) -> ValidationError:
    """Of an error with alternatives below it, the one that says most."""
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    return error


def _explain(error: ValidationError) -> str:
    """One line: the key's path, the value found, what is allowed."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = _known_properties(error.schema, error.instance)
            extra = [name for name in error.instance if name not in known] or ["?"]
            where = f"{where}.{extra[0]}" if where else extra[0]
            if now := error.schema.get("renamed", {}).get(extra[0]):
                return f"{where}: an earlier release's key; expected {now}"
            train = "; `pretrained: null` beside it trains a new one" if "pretrained" in error.instance else ""
            return f"{where}: unknown key{hint(extra[0], known)}; allowed: {', '.join(sorted(known))}{train}"
        case "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            return f"{where + '.' if where else ''}{missing}: missing; it is required"
        case "type":
            wanted = error.validator_value
            wanted = [wanted] if isinstance(wanted, str) else wanted
            written_as = written.meant(error.instance, wanted)
            return f"{where}: {error.instance!r} is of the wrong type{written_as}; allowed: {' or '.join(wanted)}"
        case "enum":
            allowed = [str(value) for value in error.validator_value]
            guess = hint(error.instance, allowed) or written.meant(error.instance, ["string"])
            return f"{where}: {error.instance!r}{guess}; allowed: {', '.join(allowed)}"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            bound = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}[error.validator]
            return f"{where}: {error.instance!r}; allowed: {bound} {error.validator_value}"
        case "pattern":
            return f"{where}: {error.instance!r}; allowed: lower-case letters, digits and inner hyphens"
        case _:
            return f"{where}: {error.message}"


def _known_properties(schema: Mapping[str, Any], instance: Any) -> list[str]:
    """Names of the properties that `schema` and the alternatives that apply to `instance` define."""
    names = list(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        if "if" not in part:
            names += _known_properties(part, instance)
        elif Draft202012Validator(part["if"]).is_valid(instance):
            names += _known_properties(part["then"], instance)
    return names
