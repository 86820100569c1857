"""Score decoded hypotheses: error rates with confidence intervals, counts per utterance, alignments to read."""

import argparse
from pathlib import Path
from typing import Any

from secateur.files import read_tsv, write_json, write_text, write_tsv
from secateur.jobs import job
from secateur.scoring import alignment_text, score, summary

LAYERS = "layers"
COLUMNS = ("utterance", "words", "errors", "characters", "character_errors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hypotheses", type=Path, required=True, help="hypotheses.tsv, as decode.py writes it")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for score.json, utterances.tsv, alignment.txt"
    )


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    rows = read_tsv(arguments.hypotheses)
    # Of sub-models, a file holds several (see decode.py).
    pruned = bool(rows) and LAYERS in rows[0]
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row.get(LAYERS, ""), []).append(row)
    scores = {
        layers: score(
            {row["utterance"]: row["reference"] for row in members},
            {row["utterance"]: row["hypothesis"] for row in members},
        )
        for layers, members in groups.items()
    }
    write_tsv(
        arguments.output / "utterances.tsv",
        (LAYERS, *COLUMNS) if pruned else COLUMNS,
        [
            ({LAYERS: layers} if pruned else {}) | {column: getattr(item, column) for column in COLUMNS}
            for layers, items in scores.items()
            for item in items
        ],
    )
    texts = [(f"Layers {layers}: " if pruned else "") + alignment_text(items) for layers, items in scores.items()]
    write_text(arguments.output / "alignment.txt", "\n".join(texts))
    summaries = {layers: summary(items) for layers, items in scores.items()}
    write_json(arguments.output / "score.json", summaries if pruned else summaries[""])
    record["utterances"] = len(next(iter(scores.values())))


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
