"""Automatic speech recognition: word error rate.

On data directories: the transcripts, by characters. The default corpus has a quarter of an hour of training speech in a
language, against SUPERB's hundred hours. On the best path, as SUPERB has it, hardly a word comes out whole, whatever
the upstream; so there is a search among the words of the training text with their n-gram, too (`search`). The test
sentences hold no word that training lacks. Word and character error rates of the best path are in the details.

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
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, kenlm, prompts
from secateur.ssl.tasks.clips import recording, whole
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.heads import RecurrentCTC
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import rate
from secateur.ssl.tasks.recognize import Symbols, Transcription, transcribe

SHOWN = {"order": 40, "rate": "wer"}
SCHEMA = {
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "hidden": {"type": "integer", "minimum": 1, "default": 128, "description": "Width of the LSTM in each direction."},
    "layers": {"type": "integer", "minimum": 1, "default": 1, "description": "Layers of the LSTM."},
    "dropout": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.1},
    "stack": {"type": "integer", "minimum": 1, "default": 2, "description": "Frames that are joined to one."},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "specaug": {"$ref": "#/$defs/specaug", "default": {}},
    "search": {
        "description": "Lexicon search with an n-gram of the training text; null for the best path, as SUPERB has it.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "default": {},
        "properties": {
            "beam": {"type": "integer", "minimum": 1, "default": 20},
            "order": {"type": "integer", "minimum": 1, "default": 2, "description": "Of the word n-gram."},
            "lm_weight": {"type": "number", "minimum": 0, "default": 1.0},
            "word_score": {"type": "number", "default": 0.0},
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
            "beam": {"type": "integer", "minimum": 1, "default": 5},
            "beam_threshold": {"type": "number", "exclusiveMinimum": 0, "default": 25.0},
            "lm_weight": {"type": "number", "minimum": 0, "default": 2.0},
            "word_score": {"type": "number", "default": -1.0},
        },
    },
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task(
    "asr",
    "speech recognition",
    (Metric("wer", higher=False), Metric("lm_wer", higher=False, scored=False)),
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
            raise SecateurError(f"{folder}: no transcripts in it; set superb.tasks to the folder LibriSpeech")
    return Data(items, notes=f"LibriSpeech; {prompts.counts(items)}")


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Bidirectional LSTM layers with CTC on characters. `options["search"]` is null for the best path, else as for
    `secateur.decoding.search.lexicon`: {beam, order, lm_weight, word_score}."""
    heard = transcribe(TASK, data, hidden, fit, RecurrentCTC, options, lambda item: tuple(item.target[0]), word_errors)
    references = {item.id: item.target[0] for item in data.items["test"]}
    greedy = score(references, {key: "".join(text) for key, text in heard.texts.items()})
    scores = greedy
    if options["search"]:
        scores = score(references, search(heard, [item.target[0] for item in data.items["train"]], options["search"]))
    metrics = {"wer": rate([each.errors for each in scores], [each.words for each in scores], fit.resampling)}
    if options["lm"]:
        with_lm = score(references, lm_search(heard, options))
        metrics["lm_wer"] = rate([each.errors for each in with_lm], [each.words for each in with_lm], fit.resampling)
    details = {
        "greedy_wer": 100 * sum(each.errors for each in greedy) / sum(each.words for each in greedy),
        "greedy_cer": 100 * sum(each.character_errors for each in greedy) / sum(each.characters for each in greedy),
        "search": options["search"],
        "layer_shares": heard.head.sum.shares(),
    }
    return Result(metrics, details)


def word_errors(heard: Symbols, said: Symbols) -> tuple[int, int]:
    """(words wrong, words) of characters."""
    words, right = ("".join(symbols).split() for symbols in (heard, said))
    return editdistance.eval(words, right), len(right)


def search(heard: Transcription, sentences: Sequence[str], options: Mapping[str, Any]) -> dict[str, str]:
    """Texts, by id, of the words of `sentences` with their n-gram."""
    from secateur.decoding.recognize import Stopwatch
    from secateur.decoding.search.lexicon import word_search

    best = word_search(_recognizer(heard, sentences), **options, lm_watch=Stopwatch(torch.device("cpu")))
    return {key: best(scores) for key, scores in heard.scores.items()}


def lm_search(heard: Transcription, options: Mapping[str, Any]) -> dict[str, str]:
    """Texts, by id, of the words of a lexicon with a language model (`lm`, `lm_lexicon` and `lm_search` in SCHEMA)."""
    best = kenlm.word_search(_recognizer(heard, []), options["lm"], options["lm_lexicon"], **options["lm_search"])
    return {key: best(scores) for key, scores in heard.scores.items()}


def _recognizer(heard: Transcription, sentences: Sequence[str]) -> Any:
    """What searches know a model by: a blank, and log-probabilities; the last token, sos/eos, is never said."""
    from secateur.decoding.recognize import Recognizer

    tokens = [BLANK, UNKNOWN, *(SPACE if symbol == " " else symbol for symbol in heard.symbols), SOS_EOS]
    ctc = SimpleNamespace(log_softmax=lambda scores: functional.pad(scores, (0, 1), value=-math.inf))
    return Recognizer(SimpleNamespace(blank_id=0, ctc=ctc), Tokenizer(tokens), sentences=list(sentences))
