"""The files of a study that tables are made of. Only what `study.runs` enumerates is read; nothing is globbed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.speech.datadir import read_table
from secateur.study.runs import ModelRun, splits, used_corpora

MODEL_AXES = (
    *("corpus", "model", "method", "initialization", "mask_changes", "scope", "sparsity_target", "sparsity", "seed"),
)
SIZES_FILE = "sizes.json"
EACH = "each"
"""Scope of an average over monolingual models, each decoding its own language. No single model has this scope."""


@dataclass(frozen=True)
class Results:
    """A study's configuration and its folder of results. Paths are relative to that folder.

    `read` collects the files of the study that were read. A teacher's that lie elsewhere are the user's, not its own.
    """

    config: Mapping[str, Any]
    root: Path
    read: set[str] = field(default_factory=set, compare=False)

    def json(self, path: str, *keys: str) -> dict[str, Any]:
        """Read a JSON object. Raises SecateurError naming the file if it is missing or lacks one of `keys`."""
        self._note(path)
        value = read_json(self.root / path)
        missing = [key for key in keys if key not in value]
        if missing:
            raise SecateurError(
                f"{self.root / path}: the keys {missing} are missing, found {sorted(value)}; "
                "the file is from another version: delete it and run again"
            )
        return value

    def tsv(self, path: str, *columns: str) -> list[dict[str, str]]:
        """Read a table. Raises SecateurError naming the file if it is missing or lacks one of `columns`."""
        self._note(path)
        rows = read_tsv(self.root / path)
        missing = [column for column in columns if rows and column not in rows[0]]
        if missing:
            raise SecateurError(
                f"{self.root / path}: the columns {missing} are missing, found {list(rows[0])}; "
                "the file is from another version: delete it and run again"
            )
        return rows

    def speakers(self, corpus: str, language: str, split: str) -> dict[str, str]:
        """The speaker of every utterance of a split."""
        path = speakers_file(corpus, language, split)
        self._note(path)
        return read_table(self.root / path)

    def _note(self, path: str) -> None:
        if not path.startswith(".."):
            self.read.add(path)

    @property
    def corpora(self) -> list[str]:
        """The corpora that models and encoders of the study are trained on."""
        return used_corpora(self.config)

    def sparsity(self, run: ModelRun) -> float:
        """Measured fraction of prunable weights that are zero: 0 for a model of none, else from `sizes.json`."""
        return self.size(run, "sparsity")["sparsity"] if run.sparsity else 0.0

    def size(self, run: ModelRun, *keys: str) -> dict[str, Any]:
        """The entry of a model in `sizes.json`. Raises SecateurError if the model or one of `keys` is missing."""
        entry = self._sizes.get(run.folder, {})
        missing = [key for key in keys if key not in entry]
        if missing:
            raise SecateurError(
                f"{self.root / SIZES_FILE}: {missing} of {run.folder} is missing; delete it and run again"
            )
        return entry

    @cached_property
    def _sizes(self) -> dict[str, Any]:
        return self.json(SIZES_FILE)

    def axes(self, run: ModelRun) -> dict[str, Any]:
        """The columns `MODEL_AXES` of a row about `run`."""
        return {
            "corpus": run.corpus,
            "model": run.model,
            "method": run.method,
            "initialization": run.initialization,
            "mask_changes": run.mask_changes,
            "scope": run.scope,
            "sparsity_target": run.sparsity,
            "sparsity": self.sparsity(run),
            "seed": run.seed,
        }

    def lm_of(self, search: str) -> str | None:
        """Name of the neural language model that a search uses, or None."""
        return self.config["searches"][search].get("lm")

    def lm_label(self, search: str) -> str:
        """What tables call the language model of a search: its name, `2-gram` for a lexicon search, or `none`."""
        options = self.config["searches"][search]
        if options["type"] == "lexicon":
            return f"{options['order']}-gram"
        return self.lm_of(search) or "none"


SCORED = ("score.json", "utterances.tsv")
"""What `systems.scored` reads of a decoding."""


def speakers_file(corpus: str, language: str, split: str) -> str:
    """Who speaks the utterances of a split."""
    return f"data/{corpus}/{language}/{split}/utt2spk"


def files_of(found: Iterable[Any], *names: str) -> Iterator[str]:
    """The files with these names of runs or decodings, which have a `folder`."""
    return (f"{one.folder}/{name}" for one in found for name in names)


def counted_of(found: Iterable[Any]) -> Iterator[str]:
    """What `systems.counts` reads of decodings: the errors of every utterance, and who speaks it."""
    for one in found:
        yield f"{one.folder}/{SCORED[1]}"
        yield speakers_file(one.run.corpus, one.language, one.split)


def main_split(config: Mapping[str, Any], corpus: str) -> str:
    """The split that claims are tested on: `test` if the study decodes it, else the first that it decodes."""
    found = splits(config, corpus)
    return "test" if "test" in found else found[0]
