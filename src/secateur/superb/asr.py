"""Automatic speech recognition: word error rate, greedily and without a language model.

On data directories: the transcripts, by characters. The default corpus has a quarter of an hour of training speech in a
language, against SUPERB's hundred hours, so error rates are high; the test sentences hold no word that training lacks.

Official: LibriSpeech train-clean-100, dev-clean and test-clean.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.corpora.librispeech import transcripts
from secateur.corpora.text import normalise
from secateur.errors import SecateurError
from secateur.scoring import score, word_error_rate
from secateur.superb import SPLITS, Data, Item, Metric, Result, Task, prompts
from secateur.superb.clips import recording, whole
from secateur.superb.fit import Fit
from secateur.superb.heads import RecurrentCTC
from secateur.superb.hidden import Hidden
from secateur.superb.recognize import transcribe

TASK = Task("asr", "speech recognition", (Metric("wer", higher=False),))
PARTS = {"train": "train-clean-100", "dev": "dev-clean", "test": "test-clean"}


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, max_seconds (of train and dev). The target is (text, language)."""
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
    items = {}
    for split, part in PARTS.items():
        folder = Path(options["root"]) / part
        items[split] = [
            Item(recording(str(path), name=key), (normalise(text, "en"), "en"))
            for key, text, path in transcripts(folder)
        ]
        if not items[split]:
            raise SecateurError(f"{folder}: no transcripts in it; set superb.tasks to the folder LibriSpeech")
    return Data(items, notes=f"LibriSpeech; {prompts.counts(items)}")


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Bidirectional LSTM layers with CTC on characters."""
    written, head = transcribe(TASK, data, hidden, fit, RecurrentCTC, options, lambda item: tuple(item.target[0]))
    scores = score(
        {item.id: item.target[0] for item in data.items["test"]}, {key: "".join(text) for key, text in written.items()}
    )
    wer = word_error_rate([each.errors for each in scores], [each.words for each in scores], fit.seed)
    cer = 100 * sum(each.character_errors for each in scores) / sum(each.characters for each in scores)
    return Result({"wer": wer}, {"cer": cer, "layer_shares": head.sum.shares()})
