"""Score decoded hypotheses: error rates with confidence intervals, counts per utterance, alignments to read."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_json, write_text, write_tsv
from secateur.decoding.parts import AXES, LANGUAGE, SPLIT, nested
from secateur.decoding.scoring import alignment_text, score, summary

COLUMNS = ("utterance", "words", "errors", "characters", "character_errors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hypotheses", type=Path, required=True, help="hypotheses.tsv, as decode writes it")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for score.json, utterances.tsv, alignment.txt"
    )


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    rows = read_tsv(arguments.hypotheses)
    lacking = {"utterance", "reference", "hypothesis"} - (rows[0].keys() if rows else set())
    if lacking:
        raise SecateurError(f"{arguments.hypotheses}: lacks {', '.join(sorted(lacking))}, or has no rows; decode again")
    record["utterances"] = write(rows, arguments.output)


def write(rows: Sequence[Mapping[str, Any]], output: Path) -> int:
    """Score hypotheses and write the files; the number of utterances of all test sets.

    Each split, language and sub-model is scored by itself: score.json has a key for each, utterances.tsv a column.
    """
    axes = [axis for axis in AXES if axis in rows[0]]
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[axis] for axis in axes), []).append(row)
    scores = {
        names: score(
            {row["utterance"]: row["reference"] for row in members},
            {row["utterance"]: row["hypothesis"] for row in members},
        )
        for names, members in groups.items()
    }
    write_tsv(
        output / "utterances.tsv",
        (*axes, *COLUMNS),
        [
            dict(zip(axes, names, strict=True)) | {column: getattr(item, column) for column in COLUMNS}
            for names, items in scores.items()
            for item in items
        ],
    )
    titles = {names: ", ".join(f"{axis} {name}" for axis, name in zip(axes, names, strict=True)) for names in scores}
    texts = [(f"{titles[names]}: " if axes else "") + alignment_text(items) for names, items in scores.items()]
    write_text(output / "alignment.txt", "\n".join(texts))
    write_json(output / "score.json", nested({names: summary(items) for names, items in scores.items()}))
    return len({(row.get(SPLIT), row.get(LANGUAGE), row["utterance"]) for row in rows})
