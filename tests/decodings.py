"""The files of a decoding, written without decoding anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.files import read_json, read_tsv, write_json, write_tsv


def write_decoding(
    folder: Path,
    language: str,
    score: Mapping[str, Any],
    utterances: Sequence[Mapping[str, Any]],
    latency: Mapping[str, Any] | None = None,
) -> None:
    """Write what was found for one language beside what is there of others.

    `score` is of the whole model or, by name, of its sub-models, whose `utterances` have a column `sub_model`.
    """
    for name, value in (("score.json", score), ("latency.json", latency)):
        if value is not None:
            file = folder / name
            write_json(file, (read_json(file) if file.exists() else {}) | {language: value})
    file = folder / "utterances.tsv"
    others = [row for row in read_tsv(file) if row["language"] != language] if file.exists() else []
    write_tsv(
        file, ("language", *utterances[0]), [*others, *({"language": language} | dict(row) for row in utterances)]
    )
