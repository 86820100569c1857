"""The section `heads`: head pruning, and what language models cost."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.decoding.search import TRAIN_TEXT, reads, runs
from secateur.heads.options import AGAIN
from secateur.heads.policies import POLICIES, block, plain
from secateur.layers.strategies import STRATEGIES
from secateur.study.checks import (
    begins,
    corpora_of,
    hint,
    known_models,
    not_of_the_whole,
    searches_of_the_whole,
    unfit,
    unknown,
    untrained,
)


def fill_schema(schema: dict[str, Any]) -> None:
    """Name the policies, with their summaries, in the schema of a configuration, in place."""
    entry = schema["properties"]["heads"]["items"]["properties"]
    POLICIES.describe(entry["policies"], entry["policies"]["items"])
    entry["policies"]["default"] = POLICIES.usual()
    combined = entry["combine"]["properties"]
    for names in (entry["recovery"]["properties"]["policies"]["items"], combined["policy"]):
        names["enum"] = POLICIES.names()
    combined["policy"]["default"], combined["strategy"]["default"] = plain(), STRATEGIES.usual()[0]


def expand(config: dict[str, Any]) -> None:
    """Put an entry for each corpus in the place of one for all, and the first search in that of none to time.

    An entry for all corpora leaves out what one of them lacks: searches to compare language models by, and an entry in
    `layers` to combine heads with. Raises SecateurError for a model that is not there.
    """
    known_models(config, "heads", "model")
    config["heads"] = [
        _spelled_out(config, entry, one) for entry in config["heads"] for one in corpora_of(config, entry)
    ]


def _spelled_out(config: Mapping[str, Any], entry: Mapping[str, Any], corpus: str) -> dict[str, Any]:
    spelled = {**entry, "corpus": corpus, "shares": sorted(entry["shares"])}
    spelled["latency"] = entry["latency"] | {"searches": entry["latency"]["searches"] or entry["searches"][:1]}
    if not entry["corpus"]:
        decoded = searches_of_the_whole(config, spelled)
        if any(search in config["searches"] and search not in decoded for search in entry["lms"]):
            spelled |= {"lms": [], "tuning": None}
        if entry["combine"] and not _layers(config, spelled):
            spelled["combine"] = None
    return spelled


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in this section."""
    seen = []
    for index, entry in enumerate(config["heads"]):
        where = f"heads[{index}]"
        yield from begins(config, where, entry)
        yield from not_of_the_whole(config, f"{where}.searches", entry, entry["searches"])
        yield from _decoder_idle(config, where, entry)
        if (entry["corpus"], entry["model"]) in seen:
            yield f"{where}: a second entry for model {entry['model']!r}; allowed: one"
        seen.append((entry["corpus"], entry["model"]))
        if AGAIN in entry["importances"] and entry["again"] is None:
            yield f"{where}.again: null; allowed with {AGAIN}: heads to remove before they are estimated again"
        yield from _times(config, where, entry)
        yield from _language_models(config, where, entry)
        if recovery := entry["recovery"]:
            yield from untrained(config, f"{where}.recovery", recovery)
            yield from _shares(f"{where}.recovery", recovery, entry)
        if entry["combine"]:
            yield from _combined(config, f"{where}.combine", entry)


def _decoder_idle(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Error rates by a search that never runs the decoder, though its heads are removed, too; policies about it."""
    known = config["searches"]
    if "decoder" not in config["models"].get(entry["model"], {}):
        for policy in entry["policies"]:
            if (kind := block(policy)).startswith("decoder"):
                yield f"{where}.policies: {policy!r}; allowed for {entry['model']!r}, which has no {kind}: others"
        return
    allowed = ", ".join(name for name, search in known.items() if runs(search["type"], "decoder")) or "none here"
    for search in entry["searches"]:
        if search in known and not runs(known[search]["type"], "decoder"):
            yield (
                f"{where}.searches: {search!r} does not run the decoder of {entry['model']!r}, whose heads are "
                f"removed, too; allowed: {allowed} (its time alone may be in latency.searches)"
            )


def _times(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    known, searches = config["searches"], entry["latency"]["searches"]
    for search in searches:
        if search not in known:
            yield unknown(f"{where}.latency.searches", search, "searches", known)
        elif TRAIN_TEXT in reads(known[search]["type"]):
            yield f"{where}.latency.searches: {search!r}; allowed: searches without a lexicon"
    yield from unfit(config, f"{where}.latency", entry["model"], searches)


def _language_models(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    known, searches = config["searches"], entry["lms"]
    for search in searches:
        if search not in known:
            yield unknown(f"{where}.lms", search, "searches", known)
            return
    yield from not_of_the_whole(config, f"{where}.lms", entry, searches)
    if entry["tuning"] and not searches:
        yield f"{where}.tuning: given; allowed without `lms`: null"
    without = [search for search in searches if not known[search].get("lm")]
    if searches and (len(without) != 1 or len(searches) < 2):
        yield f"{where}.lms: {', '.join(searches)}; allowed: one search without a language model, and some with one"
    elif entry["tuning"] and not all("length_bonus" in known[search] for search in searches):
        yield f"{where}.tuning: {', '.join(searches)}; allowed: searches with a length bonus, which is tuned"
    elif len({known[search]["type"] for search in searches}) > 1:
        yield f"{where}.lms: {', '.join(searches)}; allowed: searches of one type, to compare language models"


def _shares(where: str, part: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[str]:
    for share in part["shares"]:
        if share not in entry["shares"]:
            yield f"{where}.shares: {share:g} is not among the shares; allowed: {_listed(entry['shares'])}"
        elif share != round(share, 3):
            yield f"{where}.shares: {share}; allowed: shares in three decimals, as folders name them"
    for policy in part["policies"]:
        if policy not in entry["policies"]:
            allowed = ", ".join(entry["policies"])
            yield f"{where}.policies: {policy!r} is not among the policies; allowed: {allowed}"


def _combined(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    chosen, layers = entry["combine"], _layers(config, entry)
    if not layers:
        yield f"{where}: {entry['model']!r} has no entry in `layers`, which says how its layers are chosen; make one"
        return
    if chosen["depth"] not in layers[0]["depths"]:
        depths = ", ".join(map(str, layers[0]["depths"]))
        yield f"{where}.depth: {chosen['depth']} is not among the depths of its entry in `layers`; allowed: {depths}"
    if chosen["strategy"] not in layers[0]["strategies"]:
        strategies = layers[0]["strategies"]
        yield (
            f"{where}.strategy: {chosen['strategy']!r} is not among the strategies of its entry in `layers`"
            f"{hint(chosen['strategy'], strategies)}; allowed: {', '.join(strategies)}"
        )
    if chosen["recovery"] and not entry["recovery"]:
        yield f"{where}.recovery: true; allowed without `recovery` of the entry, which says how to train: false"
    if chosen["share"] != round(chosen["share"], 3):
        yield f"{where}.share: {chosen['share']}; allowed: a share in three decimals, as folders name it"


def _layers(config: Mapping[str, Any], entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of `layers` that are about the dense model of an entry of `heads`."""
    wanted = entry["corpus"], entry["model"], None, "encoder"
    parts = ((other, tuple(other[key] for key in ("corpus", "model", "variant", "of"))) for other in config["layers"])
    return [other for other, part in parts if part == wanted]


def _listed(shares) -> str:
    return ", ".join(f"{share:g}" for share in shares)
