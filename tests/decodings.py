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
    split: str = "test",
) -> None:
    """Write what was found for one language and split beside what is there of others; None leaves a file as it is.

    `score` is of the whole model or, by name, of its sub-models; then the rows have a column `sub_model`.
    """
    if score is not None:
        file = folder / "score.json"
        known = read_json(file) if file.exists() else {}
        write_json(file, known | {split: known.get(split, {}) | {language: score}})
    for name, new in (("utterances.tsv", utterances), ("hypotheses.tsv", hypotheses)):
        if new is not None:
            file = folder / name
            known = read_tsv(file) if file.exists() else []
            rows = [row for row in known if (row["split"], row["language"]) != (split, language)]
            rows += [{"split": split, "language": language} | dict(row) for row in new]
            write_tsv(file, ("split", "language", *new[0]), rows)
