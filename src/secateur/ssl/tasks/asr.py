"""Automatic speech recognition: word and character error rates, means over languages, on test and on dev.

On data directories: the transcripts, by characters. The default corpus has a quarter of an hour of training speech in a
language, against SUPERB's hundred hours. On the best path, as SUPERB has it, hardly a word comes out whole, whatever
the upstream; so there is a search among the words of the training text with their n-gram, too (`search`). The test
sentences hold no word that training lacks. Languages without spaces have no words to search among: theirs is the best
path, and errors are counted in characters, for `wer`, too. Rates of the best path are in the details.

Official: LibriSpeech train-clean-100, dev-clean and test-clean. SUPERB's word error rate is that of the best path
(`search: null`), which alone its score knows; that with a language model of LibriSpeech's (`lm`) stands beside it.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import editdistance
import torch
from torch.nn import functional

from secateur.core.errors import SecateurError
from secateur.decoding.scoring import score
from secateur.speech.corpora.librispeech import transcripts
from secateur.speech.corpora.text import normalise
from secateur.speech.tokens import BLANK, SOS_EOS, SPACE, UNKNOWN, Tokenizer
from secateur.speech.units import WORD, unit_of, units
from secateur.ssl.known_tasks import DEV
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, kenlm, prompts
from secateur.ssl.tasks.clips import recording, whole
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.heads import RecurrentCTC
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import Measured, mean_rate
from secateur.ssl.tasks.recognize import Symbols, Transcription, transcribe

SHOWN = {"order": 40, "rate": "wer"}
SCHEMA = {
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "hidden": {"type": "integer", "minimum": 1, "default": 128, "description": "Width of the LSTM in each direction."},
    "layers": {"type": "integer", "minimum": 1, "default": 1, "description": "Layers of the LSTM."},
    "dropout": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.1,
        "description": "Dropout rate after the LSTM layers.",
    },
    "stack": {"type": "integer", "minimum": 1, "default": 2, "description": "Frames that are joined to one."},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "specaug": {"$ref": "#/$defs/specaug", "default": {}},
    "search": {
        "description": "Lexicon search with an n-gram of the training text; null for the best path, as SUPERB has it.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "default": {},
        "properties": {
            "beam": {"type": "integer", "minimum": 1, "default": 20, "description": "Hypotheses kept."},
            "order": {"type": "integer", "minimum": 1, "default": 2, "description": "Of the word n-gram."},
            "lm_weight": {"type": "number", "minimum": 0, "default": 1.0, "description": "Weight of the n-gram."},
            "word_score": {"type": "number", "default": 0.0, "description": "Bonus per word."},
        },
    },
    "lm": {
        "type": ["string", "null"],
        "format": "path",
        "default": None,
        "description": "A language model in ARPA or KenLM's format, e.g. LibriSpeech's `4-gram.arpa`, for a further "
        "word error rate, `lm_wer`; wants KenLM.",
    },
    "lm_lexicon": {
        "type": ["string", "null"],
        "format": "path",
        "default": None,
        "description": "The words of that search, one a line, with or without a spelling: `librispeech_lexicon.lst`.",
    },
    "lm_search": {
        "description": "That search; the defaults are s3prl's.",
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "properties": {
            "beam": {"type": "integer", "minimum": 1, "default": 5, "description": "Hypotheses kept."},
            "beam_threshold": {
                "type": "number",
                "exclusiveMinimum": 0,
                "default": 25.0,
                "description": "How far below the best a score, a natural logarithm, may be.",
            },
            "lm_weight": {
                "type": "number",
                "minimum": 0,
                "default": 2.0,
                "description": "Weight of the language model.",
            },
            "word_score": {"type": "number", "default": -1.0, "description": "Bonus per word."},
        },
    },
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task(
    "asr",
    "speech recognition",
    (
        Metric("wer", higher=False),
        *(Metric(name, higher=False, scored=False) for name in ("cer", "lm_wer", f"{DEV}wer", f"{DEV}cer")),
    ),
)
PARTS = {"train": "train-clean-100", "dev": "dev-clean", "test": "test-clean"}


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, max_seconds (of train and dev). The target is (text, language)."""
    kenlm.check(options)
    chosen = prompts.of(corpus, options["languages"], TASK.name)
    items = {}
    for split in SPLITS:
        utterances = prompts.joined(chosen, split)
        if split != "test":
            utterances = prompts.no_longer(utterances, options["max_seconds"])
        items[split] = [Item(whole(utterance), (utterance.text, utterance.language)) for utterance in utterances]
    return Data(items, notes=f"{', '.join(chosen)}; {prompts.counts(items)}")


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (the folder LibriSpeech)."""
    kenlm.check(options)
    items = {}
    for split, part in PARTS.items():
        folder = Path(options["root"]) / part
        items[split] = [
            Item(recording(str(path), name=key), (normalise(text, "en"), "en"))
            for key, text, path in transcripts(folder)
            if text is not None
        ]
        if not items[split]:
            raise SecateurError(f"{folder}: no transcripts in it; set ssl[].tasks.asr.root to the folder LibriSpeech")
    return Data(items, notes=f"LibriSpeech; {prompts.counts(items)}")


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Bidirectional LSTM layers with CTC on characters. `options["search"]` is null for the best path, else as for
    `secateur.decoding.search.lexicon`: {beam, order, lm_weight, word_score}."""
    heard = transcribe(TASK, data, hidden, fit, RecurrentCTC, options, lambda item: tuple(item.target[0]), word_errors)
    metrics: dict[str, Measured] = {}
    for split, prefix in (("test", ""), ("dev", DEV)):
        texts = best_path(heard, split)
        if options["search"]:
            texts |= search(heard, data, split, options["search"])
        found = rates(data.items[split], texts, fit.resampling)
        metrics |= {f"{prefix}{name}": value for name, value in found.items()}
    test = data.items["test"]
    if options["lm"]:
        metrics["lm_wer"] = rates(test, lm_search(heard, options), fit.resampling)["wer"]
    greedy = rates(test, best_path(heard, "test"), fit.resampling)
    details = {
        **{f"greedy_{name}": value.value for name, value in greedy.items()},
        "search": options["search"],
        "layer_shares": heard.head.sum.shares(),
    }
    return Result(metrics, details)


def rates(items: Sequence[Item], texts: Mapping[str, str], resampling: int) -> dict[str, Measured]:
    """`wer` and `cer` of clips, means over their languages; in one without spaces both are of characters."""
    groups = []
    for members in by_language(items).values():
        references = {item.id: item.target[0] for item in members}
        groups.append(score(references, {key: texts[key] for key in references}))
    counts = {
        "wer": [([one.errors for one in found], [one.words for one in found]) for found in groups],
        "cer": [([one.character_errors for one in found], [one.characters for one in found]) for found in groups],
    }
    return {name: mean_rate(found, resampling) for name, found in counts.items()}


def by_language(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Clips by language."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.target[1], []).append(item)
    return found


def word_errors(heard: Symbols, said: Symbols) -> tuple[int, int]:
    """(words wrong, words) of characters; (characters wrong, characters) where what was said is of a script without
    spaces."""
    unit = unit_of(["".join(said)])
    words, right = (units("".join(symbols), unit) for symbols in (heard, said))
    return editdistance.eval(words, right), len(right)


def best_path(heard: Transcription, split: str) -> dict[str, str]:
    """Texts, by id, of a split on the best path."""
    return {key: "".join(text) for key, text in heard.texts[split].items()}


def search(heard: Transcription, data: Data, split: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Texts, by id, of a split's clips in languages with words: of those in training sentences, with their n-gram."""
    spaced = {
        language: [item.target[0] for item in members]
        for language, members in by_language(data.items["train"]).items()
        if unit_of(item.target[0] for item in members) == WORD
    }
    if not spaced:
        return {}
    from secateur.decoding.recognize import Stopwatch
    from secateur.decoding.search.lexicon import word_search

    recognizer = _recognizer(heard, [text for texts in spaced.values() for text in texts])
    best = word_search(recognizer, **options, lm_watch=Stopwatch(torch.device("cpu")))
    chosen = [item.id for item in data.items[split] if item.target[1] in spaced]
    return {key: best(heard.scores[split][key]) for key in chosen}


def lm_search(heard: Transcription, options: Mapping[str, Any]) -> dict[str, str]:
    """Texts, by id, of the test clips: of the words of a lexicon with a language model (`lm`, `lm_lexicon` and
    `lm_search` in SCHEMA)."""
    best = kenlm.word_search(_recognizer(heard, []), options["lm"], options["lm_lexicon"], **options["lm_search"])
    return {key: best(scores) for key, scores in heard.scores["test"].items()}


def _recognizer(heard: Transcription, sentences: Sequence[str]) -> Any:
    """What searches know a model by: a blank, and log-probabilities; the last token, sos/eos, is never said."""
    from secateur.decoding.recognize import Recognizer

    tokens = [BLANK, UNKNOWN, *(SPACE if symbol == " " else symbol for symbol in heard.symbols), SOS_EOS]
    ctc = SimpleNamespace(log_softmax=lambda scores: functional.pad(scores, (0, 1), value=-math.inf))
    return Recognizer(SimpleNamespace(blank_id=0, ctc=ctc), Tokenizer(tokens), sentences=list(sentences))
