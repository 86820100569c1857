"""Checks before training, so that a long run does not fail, or silently learn nothing, because of its data.

Of recordings, headers are read, and samples only where two may be the same. What cannot be used is an error that names
the utterances; what can, but should be known, is a note.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.speech import audio
from secateur.speech.alphabet import lacking
from secateur.speech.corpora.overlap import shared_recordings, shared_sentences, shared_speakers
from secateur.speech.corpora.text import UNTRANSCRIBED
from secateur.speech.datadir import Utterance, read_data_dir, taken_by_copies
from secateur.speech.tokens import SPACE, Tokenizer
from secateur.speech.units import unit_of, units

SHOWN = 10
WINDOW_MS = 25.0  # of the features
LONGEST_SECONDS = 300  # attention over more takes gigabytes; what is read aloud has sentences of half a minute at most
UNCOVERED_SHARE = 0.01  # of the training utterances; more is taken for a wrong token list or a wrong language
LACKING_SHARE = 0.3  # of the kinds of letters; more is taken for a model of another language or script
COLUMNS = (
    "corpus",
    "language",
    "split",
    "utterances",
    "hours",
    "unit",
    "words",
    "types",
    "speakers",
    "seen_sentences",
    "seen_speakers",
    "uncovered",
    "tags",
    "untranscribed",
    "dropped",
    "resampled",
    "synthetic",
)


@dataclass
class Findings:
    """Problems found: {description with remedy: [utterances]}; `errors` forbid training, `notes` do not."""

    errors: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def error(self, problem: str, where: str) -> None:
        self.errors.setdefault(problem, []).append(where)

    def note(self, problem: str, where: str) -> None:
        self.notes.setdefault(problem, []).append(where)

    def raise_errors(self) -> None:
        """Raise one SecateurError that lists every kind of error, each with up to `SHOWN` utterances."""
        if self.errors:
            raise SecateurError(
                "the data cannot be trained on:\n"
                + "\n".join(_shown(problem, self.errors[problem]) for problem in self.errors)
            )

    def messages(self) -> list[str]:
        """The notes, one line each."""
        return [_shown(problem, self.notes[problem]) for problem in self.notes]


def validate(
    data: str | Path,
    languages: Sequence[str],
    splits: Sequence[str],
    tokens: str | Path,
    frame_shift_ms: float = 10.0,
    input_layers: Sequence[str] = ("conv2d",),
    speeds: Sequence[float] = (1.0,),
    rate: int = 16000,
) -> tuple[list[dict[str, Any]], Findings]:
    """Check the prepared data directories `{data}/{language}/{split}` against the token list.

    Args:
        frame_shift_ms: shift of the features' frames in milliseconds.
        input_layers: `conv2d`, `stack:FRAMES`, `window:SECONDS`: those of the models; none if only encoders hear it.
        speeds: those of the copies of the training data; the fastest copy is the shortest.
        rate: sampling rate in Hz that the features want.

    Returns the summary table (see COLUMNS), one row per language and split, and the findings.
    """
    data = Path(data)
    tokenizer = Tokenizer.load(tokens)
    findings = Findings()
    rows = []
    seen: dict[str, str] = {}
    trained: list[str] = []
    everyone: dict[str, list[Utterance]] = {}
    headers: dict[str, audio.Header | None] = {}
    for language in languages:
        source = read_json(data / language / "source.json")
        dropped = read_tsv(data / language / "dropped.tsv")
        for split in splits:
            utterances = everyone[f"{language}/{split}"] = read_data_dir(data / language / split)
            train = [] if split == "train" else everyone.get(f"{language}/train", [])
            trained += [utterance.id for utterance in utterances] if split == "train" else []
            check_ids(utterances, f"{language}/{split}", seen, findings)
            if split == "train" and len(utterances) == 1:
                findings.error("a single utterance to train on: add some, or leave the language out", language)
            uncovered = check_characters(utterances, split, tokenizer, findings)
            fastest = max(speeds) if split == "train" else 1.0
            if input_layers:
                check_lengths(utterances, split, tokenizer, frame_shift_ms, input_layers, fastest, findings)
            resampled = check_recordings(utterances, rate, findings, headers)
            rows.append(
                {"corpus": data.name, "language": language, "split": split}
                | counts(utterances)
                | {
                    "seen_sentences": shared_sentences(utterances, train) if train else None,
                    "seen_speakers": shared_speakers(utterances, train) if train else None,
                    "uncovered": uncovered,
                    "tags": source.get("non_speech_tags", {}).get(split, 0),
                    "untranscribed": sum((row["split"], row["reason"]) == (split, UNTRANSCRIBED) for row in dropped),
                    "dropped": len(dropped) if split == "train" else None,
                    "resampled": resampled,
                    "synthetic": source["synthetic"],
                }
            )
    check_copies(trained, speeds, findings)
    check_splits(everyone, headers, findings)
    return rows, findings


def check_alphabet(data: Path, languages: Sequence[str], splits: Sequence[str], tokens: Path, model: str) -> None:
    """Raise SecateurError where the token list of `model`, trained elsewhere, lacks most of a language's letters."""
    known = Tokenizer.load(tokens).tokens
    for language in languages:
        texts = [utterance.text for split in splits for utterance in read_data_dir(data / language / split)]
        missing, kinds = lacking(texts, known)
        if len(missing) > LACKING_SHARE * kinds:
            raise SecateurError(
                f"models.{model}: its token list lacks {len(missing)} of the {kinds} letters of the corpus' {language} "
                f"transcripts ({' '.join(missing[:SHOWN])}); take a model of this language, or other transcripts"
            )


def counts(utterances: Sequence[Utterance]) -> dict[str, Any]:
    """How much speech and text there is: columns of the summary table."""
    unit = unit_of(utterance.text for utterance in utterances)
    words = [word for utterance in utterances for word in units(utterance.text, unit)]
    return {
        "utterances": len(utterances),
        "hours": round(sum(utterance.duration for utterance in utterances) / 3600, 4),
        "unit": unit,
        "words": len(words),
        "types": len(set(words)),
        "speakers": len({utterance.speaker for utterance in utterances}),
    }


def check_copies(trained: Sequence[str], speeds: Sequence[float], findings: Findings) -> None:
    """No id of the training data is that of another's copy at another speed."""
    for key in taken_by_copies(trained, speeds):
        findings.error("id that a copy at another speed gets, too: rename it, or set features.speeds to [1.0]", key)


def check_splits(
    everyone: Mapping[str, list[Utterance]], headers: Mapping[str, audio.Header | None], findings: Findings
) -> None:
    """No recording is in two splits."""
    for place, utterance, other_place, other in shared_recordings(everyone, headers):
        findings.error(
            "the same recording in two splits: take it out of one, or add its id to corpora.<name>.exclude",
            f"{utterance.id} ({place}) and {other.id} ({other_place})",
        )


def check_ids(utterances: Sequence[Utterance], place: str, seen: dict[str, str], findings: Findings) -> None:
    """Every id occurs once in the corpus (`seen` maps ids of other splits to their place); everyone has a speaker."""
    if not utterances:
        findings.error("no utterances: the split is empty; mend the corpus or leave the split out", place)
    for utterance in utterances:
        if utterance.id in seen:
            findings.error(
                "id in two places: rename one, or take it out of one split",
                f"{utterance.id} ({seen[utterance.id]}, {place})",
            )
        seen[utterance.id] = place
        if not utterance.speaker:
            findings.error("no speaker: add it to utt2spk", utterance.id)


def check_characters(utterances: Sequence[Utterance], split: str, tokenizer: Tokenizer, findings: Findings) -> int:
    """Every transcript has words, and in training only characters of the token list; count those with others.

    In dev and test such a character is one that no model can write: `<unk>` among the targets of the dev loss, and an
    error in scoring.
    """
    known = {character for token in tokenizer.tokens if not token.startswith("<") for character in token} | {" "}
    known -= {SPACE, "▁"}
    uncovered = []
    for utterance in utterances:
        if not utterance.text.strip():
            findings.error(
                "empty transcript: write what is said, or add the ids to corpora.<name>.exclude", utterance.id
            )
        foreign = sorted(set(utterance.text) - known)
        if foreign:
            uncovered.append(f"{utterance.id} ({' '.join(foreign)})")
    remedy = "mend the transcripts, or add the ids to corpora.<name>.exclude"
    if split == "train" and len(uncovered) > UNCOVERED_SHARE * len(utterances):
        for where in uncovered:
            findings.error(f"characters outside the token list: {remedy}", where)
    else:
        for where in uncovered:
            findings.note(f"characters that no model can write, each an error in scoring ({split}): {remedy}", where)
    return len(uncovered)


def check_lengths(
    utterances: Sequence[Utterance],
    split: str,
    tokenizer: Tokenizer,
    frame_shift_ms: float,
    input_layers: Sequence[str],
    speed: float,
    findings: Findings,
) -> None:
    """Every utterance gives the models something to work on, and in training CTC enough for its transcript.

    CTC needs one output frame per token and one more between two equal tokens (Graves et al., ICML 2006).
    """
    windows = [float(layer.partition(":")[2]) for layer in input_layers if layer.startswith("window:")]
    longest = min([LONGEST_SECONDS, *windows])
    for utterance in utterances:
        ids = tokenizer.encode(utterance.text, utterance.language)
        needed = len(ids) + sum(first == second for first, second in pairwise(ids))
        frames = feature_frames(utterance.duration, speed, frame_shift_ms)
        outputs = {layer: output_frames(frames, layer) for layer in input_layers}
        layer = min(outputs, key=outputs.get)
        length = f"{utterance.duration:g} s" + ("" if speed == 1 else f" at speed {speed:g}")
        if not outputs[layer]:
            findings.error(
                f"too short for the model (no output frame, input {layer}): add the ids to corpora.<name>.exclude",
                f"{utterance.id} ({frames} frames of features in {length})",
            )
        elif utterance.duration > longest:
            findings.error(
                f"longer than {longest:g} s: cut the recording up with segments, or add the ids to "
                "corpora.<name>.exclude",
                f"{utterance.id} ({utterance.duration:g} s)",
            )
        elif outputs[layer] < needed:
            (findings.error if split == "train" else findings.note)(
                f"too short for its transcript (CTC, input {layer}): add the ids to corpora.<name>.exclude"
                + ("" if speed == 1 else ", or lower features.speeds"),
                f"{utterance.id} ({needed} frames needed, {outputs[layer]} in {length})",
            )


def feature_frames(seconds: float, speed: float = 1.0, frame_shift_ms: float = 10.0) -> int:
    """Frames of features of a recording that is played `speed` times as fast: whole windows only."""
    milliseconds = round(seconds * 1000 / speed, 3)  # a float just below a whole frame would lose it
    return max(0, 1 + int((milliseconds - WINDOW_MS) // frame_shift_ms))


def output_frames(frames: int, input_layer: str) -> int:
    """Frames that come out of `conv2d` (two convolutions of width 3, step 2), `stack:FRAMES` or `window:SECONDS`."""
    kind, _, stacked = input_layer.partition(":")
    if kind == "stack":
        return -(-frames // int(stacked))
    if kind == "window":
        return frames * LONGEST_SECONDS  # nothing is aligned to frames
    return max(0, ((frames - 1) // 2 - 1) // 2)


def check_recordings(
    utterances: Sequence[Utterance], rate: int, findings: Findings, headers: dict[str, audio.Header | None]
) -> int:
    """Every recording can be opened, is not empty, and is as long as its utterances; count those of another rate.

    `headers`, by path, is filled; what cannot be read has None.
    """
    ours = {utterance.audio for utterance in utterances}
    mixed: dict[str, int] = {}
    for utterance in utterances:
        if utterance.audio not in headers:
            try:
                headers[utterance.audio] = audio.info(utterance.audio)
            except SecateurError as error:
                headers[utterance.audio] = None
                findings.error(
                    "unreadable recording: fetch it again, or add the ids to corpora.<name>.exclude",
                    f"{utterance.id} ({error})",
                )
        header = headers[utterance.audio]
        if header and (utterance.end or utterance.duration) > header.seconds + 0.5:
            findings.error(
                "utterance longer than its recording: mend segments or utt2dur",
                f"{utterance.id} (ends at {utterance.end or utterance.duration:g} s of {header.seconds:g} s)",
            )
        if header and header.channels > 1 and utterance.channel is None:
            mixed[utterance.audio] = header.channels
    for channels, count in sorted(Counter(mixed.values()).items()):
        findings.note(
            "recordings with several channels are averaged, unless corpora.<name>.channel or the fifth column of "
            "segments chooses one",
            f"{count} with {channels} channels",
        )
    found = [header for path, header in headers.items() if header and path in ours]
    other = Counter(header.rate for header in found if header.rate != rate)
    for source_rate, count in sorted(other.items()):
        findings.note(f"recordings at another rate than {rate} Hz are resampled", f"{count} at {source_rate} Hz")
    return other.total()


def _shown(problem: str, places: Sequence[str]) -> str:
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"{problem}: {', '.join(places[:SHOWN])}{more}"
