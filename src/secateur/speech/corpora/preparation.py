"""From a recipe's utterances to data directories: exclusions, what is broken, ids that are taken."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import write_json, write_tsv
from secateur.speech.alphabet import written
from secateur.speech.corpora import Dropped, Prepared, recipe, recordings
from secateur.speech.datadir import taken_by_copies, write_data_dir
from secateur.speech.units import WORD, unit_of, without_spaces

SHOWN = 10


def prepare(options: Mapping[str, Any], language: str, cache: Path, speeds: Iterable[float] = (1.0,)) -> Prepared:
    """Run the recipe, leave out what `exclude` names, and refuse what is broken, recordings among it.

    Args:
        speeds: those of the copies that will be made of the training data.

    Raises SecateurError naming up to `SHOWN` of the broken utterances, with their files, and for copies whose ids are
    taken.
    """
    prepared = exclude(recipe(options["recipe"]).prepare(options, language, cache), options["exclude"])
    if options.get("normalise", True):
        prepared = in_one_line(prepared)
    unusable = recordings.unusable([utterance for members in prepared.splits.values() for utterance in members])
    broken = [*prepared.broken, *(Dropped(key, "broken", problem) for key, problem in unusable.items())]
    if broken:
        shown = [f"  {entry.utterance}: {entry.detail}" for entry in broken[:SHOWN]]
        more = len(broken) - SHOWN
        raise SecateurError(
            f"{language}: {len(broken)} utterances cannot be used; mend them, or add their ids to "
            "corpora.<name>.exclude:\n" + "\n".join(shown) + (f"\n  and {more} more" if more > 0 else "")
        )
    taken = taken_by_copies((utterance.id for utterance in prepared.splits["train"]), speeds)
    if taken:
        raise SecateurError(
            f"{language}: {len(taken)} ids of train, such as {taken[0]!r}, are those that copies at other speeds get: "
            "the data has such copies already; set features.speeds to [1.0], or take the copies out of train"
        )
    return prepared


def exclude(prepared: Prepared, ids: Iterable[str]) -> Prepared:
    """Leave out the utterances with these ids, broken or not; ids of other languages do nothing."""
    unwanted = set(ids)
    gone = [
        *((utterance.id, utterance.text, split) for split, members in prepared.splits.items() for utterance in members),
        *((entry.utterance, entry.detail, entry.split) for entry in prepared.broken),
    ]
    return replace(
        prepared,
        splits={
            split: [utterance for utterance in members if utterance.id not in unwanted]
            for split, members in prepared.splits.items()
        },
        dropped=[*prepared.dropped, *(Dropped(key, "excluded", *more) for key, *more in gone if key in unwanted)],
        broken=[entry for entry in prepared.broken if entry.utterance not in unwanted],
    )


def in_one_line(prepared: Prepared) -> Prepared:
    """Take the spaces out of the texts of a language that is written without; they stand for punctuation."""
    if unit_of(utterance.text for members in prepared.splits.values() for utterance in members) == WORD:
        return prepared
    splits = {
        split: [replace(utterance, text=without_spaces(utterance.text)) for utterance in members]
        for split, members in prepared.splits.items()
    }
    return replace(prepared, splits=splits)


def in_alphabet(prepared: Prepared, wanted: Mapping[str, str]) -> Prepared:
    """Bring the texts into the alphabet of a model (`secateur.speech.alphabet`)."""
    splits = {
        split: [replace(utterance, text=written(utterance.text, wanted)) for utterance in members]
        for split, members in prepared.splits.items()
    }
    return replace(prepared, splits=splits)


def write_prepared(folder: str | Path, prepared: Prepared) -> None:
    """Write every split as a data directory, `dropped.tsv` and `source.json` into `folder`.

    Raises SecateurError for a split without utterances, or an id that occurs in two splits.
    """
    folder = Path(folder)
    seen: dict[str, str] = {}
    for split, utterances in prepared.splits.items():
        if not utterances:
            raise SecateurError(f"{folder / split}: no utterances; see {folder / 'dropped.tsv'} or the corpus' folder")
        for utterance in utterances:
            if seen.setdefault(utterance.id, split) != split:
                raise SecateurError(
                    f"{folder}: utterance {utterance.id!r} is in both {seen[utterance.id]} and {split}; "
                    "every id must be unique within a corpus"
                )
    write_tsv(
        folder / "dropped.tsv",
        ("utterance", "split", "reason", "detail"),
        (vars(entry) for entry in prepared.dropped),
    )
    for split, utterances in prepared.splits.items():
        write_data_dir(folder / split, utterances)
    write_json(folder / "source.json", prepared.source)
