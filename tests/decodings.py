"""The files of a decoding, written without decoding anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.files import read_json, read_tsv, write_json, write_tsv


def write_decoding(
    folder: Path,
    language: str,
    score: Mapping[str, Any] | None = None,
    utterances: Sequence[Mapping[str, Any]] | None = None,
    hypotheses: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write what was found for one language beside what is there of others; None leaves a file as it is.

    `score` is of the whole model or, by name, of its sub-models; then the rows have a column `sub_model`.
    """
    if score is not None:
        file = folder / "score.json"
        write_json(file, (read_json(file) if file.exists() else {}) | {language: score})
    for name, new in (("utterances.tsv", utterances), ("hypotheses.tsv", hypotheses)):
        if new is not None:
            file = folder / name
            rows = [row for row in read_tsv(file) if row["language"] != language] if file.exists() else []
            rows += [{"language": language} | dict(row) for row in new]
            write_tsv(file, ("language", *new[0]), rows)
