"""Query by example: in which recordings is what a spoken query says? No training; maximum term-weighted value.

Each layer is searched by itself, by dynamic time warping (`tasks.dtw`); the layer that is best on dev is the
one that counts on test. A query's scores are normalised over its documents, since one threshold holds for all.

On data directories: queries are prompts of the training set of at most `words` words and at least `letters` letters
that are said, word for word, in a dev or test prompt of their language; documents are these prompts. Queries are other
recordings than what they are searched in, but of the same voice, which makes it easier than QUESST 2014's. A word that
is only part of a longer word is not an occurrence.

Official: QUESST 2014 (Anguera et al. 2014), its non-native English part, as in SUPERB.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.speech.data import pad
from secateur.ssl.tasks import Data, Item, Metric, Pair, Result, Task, prompts
from secateur.ssl.tasks.clips import QUIETER, recording, whole
from secateur.ssl.tasks.dtw import costs, normalize
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import Measured, maximum_term_weighted_value

SHOWN = {"order": 60}
SCHEMA = {
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "queries": {"type": "integer", "minimum": 1, "default": 30, "description": "Most queries of a language and split."},
    "words": {"type": "integer", "minimum": 1, "default": 3, "description": "Words of the longest query."},
    "letters": {"type": "integer", "minimum": 1, "default": 5, "description": "Letters of the shortest query."},
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
}

TASK = Task("qbe", "query by example", (Metric("mtwv", higher=True),))
LANGUAGE = "nnenglish"
SHORTEST = 5  # frames; s3prl gives shorter queries a score of nothing
OCCURRENCE = re.compile(r"^LEXEME\s+(\S+)\s.*?(\S*_(?:dev|eval)_\d+)", re.MULTILINE)


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, queries (most per language and split), words, letters, max_seconds (of documents)."""
    chosen = prompts.of(corpus, options["languages"], TASK.name)
    items: dict[str, list[Item]] = {"dev": [], "test": []}
    pairs: dict[str, list[Pair]] = {"dev": [], "test": []}
    for language, splits in chosen.items():
        possible = [
            utterance
            for utterance in splits["train"]
            if len(utterance.text.split()) <= options["words"]
            and len(utterance.text.replace(" ", "")) >= options["letters"]
        ]
        for split in ("dev", "test"):
            documents = prompts.no_longer(splits[split], options["max_seconds"])
            texts = [f" {document.text} " for document in documents]
            found = [
                utterance
                for utterance in possible
                if 0 < sum(f" {utterance.text} " in text for text in texts) < len(texts)
            ]
            queries = prompts.drawn(found, options["queries"], f"qbe {split} {language}")
            items[split] += [Item(whole(utterance), utterance.text) for utterance in [*queries, *documents]]
            pairs[split] += [
                Pair(query.id, document.id, f" {query.text} " in text)
                for query in queries
                for document, text in zip(documents, texts, strict=True)
            ]
    for split, members in pairs.items():
        if not members:
            raise SecateurError(
                f"qbe: no training prompt of at most {options['words']} words is said in the {split} set; "
                "allow more words, or leave qbe out of ssl[].tasks"
            )
    return Data(items, pairs, _notes(", ".join(chosen), pairs), {"mtwv": 0.0})


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (the folder `quesst14Database`)."""
    root = Path(options["root"])
    documents = [_item(path) for path in listed(root, "language_key_utterances.lst")]
    items, pairs = {}, {}
    for split, name in (("dev", "dev"), ("test", "eval")):
        table = root / "scoring" / f"groundtruth_quesst14_{name}" / f"quesst14_{name}.rttm"
        occurs = {(query, document) for document, query in OCCURRENCE.findall(_text(table))}
        queries = [_item(path) for path in listed(root, f"language_key_{name}.lst")]
        said = {query for query, document in occurs & {(q.id, d.id) for q in queries for d in documents}}
        queries = [query for query in queries if query.id in said]  # the term-weighted value knows no others
        items[split] = queries + documents
        pairs[split] = [
            Pair(query.id, document.id, (query.id, document.id) in occurs)
            for query in queries
            for document in documents
        ]
    return Data(items, pairs, _notes("QUESST 2014", pairs), {"mtwv": 0.0})


def _item(path: Path) -> Item:
    return Item(recording(str(path), name=path.stem, gain=QUIETER), "")


def listed(root: Path, name: str) -> list[Path]:
    """The recordings in LANGUAGE of a list of `quesst14Database/Audio/quesst14_00001.wav nnenglish`."""
    lines = [line.split() for line in _text(root / "scoring" / name).splitlines() if line.strip()]
    return [root / Path(*Path(path).parts[1:]) for path, language in lines if language == LANGUAGE]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; set ssl[].tasks.qbe.root to quesst14Database") from error


def _notes(what: str, pairs: Mapping[str, list[Pair]]) -> str:
    sizes = [
        f"{split}: {len({pair.first for pair in members})} queries, "
        f"{len({pair.second for pair in members})} documents, "
        f"{sum(pair.match for pair in members)} of {len(members)} pairs match"
        for split, members in pairs.items()
    ]
    return f"{what}; {'; '.join(sizes)}"


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """The test set searched with the layer that is best on dev."""
    layers, _ = hidden.shape(data.items["dev"][0].clip)
    dev = [search("dev", layer, data, hidden, fit) for layer in range(layers)]
    values = [maximum_term_weighted_value(*found, seed=fit.resampling).value for found in dev]
    layer = int(np.argmax(values))
    value = maximum_term_weighted_value(*search("test", layer, data, hidden, fit), seed=fit.resampling)
    return Result({"mtwv": Measured.of(value)}, {"layer": layer, "dev_mtwv": values})


def search(split: str, layer: int, data: Data, hidden: Hidden, fit: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalised scores, matches and what is judged, each (queries, documents), of one layer."""
    clips = {item.id: item.clip for item in data.items[split]}
    states = normalize([state[layer].float().to(fit.device) for state in hidden.frames(list(clips.values()))])
    frames = dict(zip(clips, states, strict=True))
    by_query: dict[str, dict[str, bool]] = defaultdict(dict)
    for pair in data.pairs[split]:
        by_query[pair.first][pair.second] = pair.match
    names = sorted({pair.second for pair in data.pairs[split]})
    place = {name: index for index, name in enumerate(names)}
    shape = len(by_query), len(names)
    scores, match, judged = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    padded: dict[tuple[str, ...], tuple[torch.Tensor, torch.Tensor]] = {}
    for row, (query, documents) in enumerate(by_query.items()):
        searched = tuple(documents)
        if searched not in padded:
            lengths = torch.tensor([len(frames[name]) for name in searched], device=fit.device)
            padded = {searched: (pad([frames[name] for name in searched], 0.0), lengths)}
        columns = [place[name] for name in searched]
        if len(frames[query]) >= SHORTEST:
            found = -costs(frames[query], *padded[searched]).double().cpu().numpy()
            scores[row, columns] = (found - found.mean()) / max(found.std(), 1e-9)
        match[row, columns] = list(documents.values())
        judged[row, columns] = True
    return scores, match, judged
