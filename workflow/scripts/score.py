"""Score decoded hypotheses: error rates with confidence intervals, counts per utterance, alignments to read."""

import argparse
from pathlib import Path
from typing import Any

from secateur.files import read_tsv, write_json, write_text, write_tsv
from secateur.jobs import job
from secateur.scoring import alignment_text, score, summary

COLUMNS = ("utterance", "words", "errors", "characters", "character_errors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hypotheses", type=Path, required=True, help="hypotheses.tsv, as decode.py writes it")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for score.json, utterances.tsv, alignment.txt"
    )


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    rows = read_tsv(arguments.hypotheses)
    scores = score(
        {row["utterance"]: row["reference"] for row in rows}, {row["utterance"]: row["hypothesis"] for row in rows}
    )
    write_tsv(
        arguments.output / "utterances.tsv",
        COLUMNS,
        [{column: getattr(item, column) for column in COLUMNS} for item in scores],
    )
    write_text(arguments.output / "alignment.txt", alignment_text(scores))
    write_json(arguments.output / "score.json", summary(scores))
    record["utterances"] = len(scores)


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
