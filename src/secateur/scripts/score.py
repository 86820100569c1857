"""Score decoded hypotheses: error rates with confidence intervals, counts per utterance, alignments to read."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_json, write_text, write_tsv
from secateur.decoding.scoring import alignment_text, score, summary

SUB_MODEL = "sub_model"
COLUMNS = ("utterance", "words", "errors", "characters", "character_errors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hypotheses", type=Path, required=True, help="hypotheses.tsv, as decode.py writes it")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for score.json, utterances.tsv, alignment.txt"
    )


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    rows = read_tsv(arguments.hypotheses)
    lacking = {"utterance", "reference", "hypothesis"} - (rows[0].keys() if rows else set())
    if lacking:
        raise SecateurError(f"{arguments.hypotheses}: lacks {', '.join(sorted(lacking))}, or has no rows; decode again")
    # Of sub-models, a file holds several (see decode.py).
    pruned = bool(rows) and SUB_MODEL in rows[0]
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row.get(SUB_MODEL, ""), []).append(row)
    scores = {
        name: score(
            {row["utterance"]: row["reference"] for row in members},
            {row["utterance"]: row["hypothesis"] for row in members},
        )
        for name, members in groups.items()
    }
    write_tsv(
        arguments.output / "utterances.tsv",
        (SUB_MODEL, *COLUMNS) if pruned else COLUMNS,
        [
            ({SUB_MODEL: name} if pruned else {}) | {column: getattr(item, column) for column in COLUMNS}
            for name, items in scores.items()
            for item in items
        ],
    )
    texts = [(f"Sub-model {name}: " if pruned else "") + alignment_text(items) for name, items in scores.items()]
    write_text(arguments.output / "alignment.txt", "\n".join(texts))
    summaries = {name: summary(items) for name, items in scores.items()}
    write_json(arguments.output / "score.json", summaries if pruned else summaries[""])
    record["utterances"] = len(next(iter(scores.values())))
