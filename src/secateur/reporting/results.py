"""The files of a study that tables are made of. Only what `study.runs` enumerates is read; nothing is globbed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.decoding.search import shown
from secateur.speech.datadir import read_table
from secateur.study.runs import Decoding, ModelRun, reported_splits, used_corpora

MODEL_AXES = (
    *("corpus", "model", "method", "initialization", "mask_changes", "scope", "sparsity_target", "sparsity", "seed"),
)
SIZES_FILE = "sizes.json"
SCORE, UTTERANCES, HYPOTHESES = "score.json", "utterances.tsv", "hypotheses.tsv"
"""Of a decoding: its error rates, the errors of every utterance, and what was heard."""
KEPT = 8  # files of decodings in memory: of a model's searches
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
    _contents: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def json(self, path: str, *keys: str) -> dict[str, Any]:
        """Read a JSON object. Raises SecateurError naming the file if it is missing or lacks one of `keys`."""
        self._note(path)
        return _having(self.root / path, read_json(self.root / path), keys)

    def decoded(self, decoding: Decoding, name: str, *keys: str, sub_model: str = "") -> dict[str, Any]:
        """What a JSON file of a decoding says of its split and language, and of a sub-model. It raises as `json`."""
        path = f"{decoding.folder}/{name}"
        found = self._kept(path, self.json)
        for key in filter(None, (decoding.split, decoding.language, sub_model)):
            found = _having(self.root / path, found, (key,))[key]
        return _having(self.root / path, found, keys)

    def utterances(self, decoding: Decoding, *columns: str, sub_model: str = "", name: str = UTTERANCES) -> list[dict]:
        """The rows of a table of a decoding about its split and language, and a sub-model. It raises as `tsv`."""
        path = f"{decoding.folder}/{name}"
        rows = _with_columns(self.root / path, self._kept(path, self.tsv), ("split", "language", *columns))
        found = [row for row in rows if (row["split"], row["language"]) == (decoding.split, decoding.language)]
        return [row for row in found if row["sub_model"] == sub_model] if sub_model else found

    def _kept(self, path: str, read: Callable[[str], Any]) -> Any:
        """The content of a file of a decoding, which is asked for once a language and sub-model; of the last few."""
        if path not in self._contents:
            self._contents[path] = read(path)
            while len(self._contents) > KEPT:
                del self._contents[next(iter(self._contents))]
        return self._contents[path]

    def tsv(self, path: str, *columns: str) -> list[dict[str, str]]:
        """Read a table. Raises SecateurError naming the file if it is missing or lacks one of `columns`."""
        self._note(path)
        return _with_columns(self.root / path, read_tsv(self.root / path), columns)

    def lines(self, path: str) -> dict[str, str]:
        """Read a Kaldi table: what stands after every utterance. Raises SecateurError naming a file that is missing."""
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
        return self.cost(run.folder, *keys)

    def cost(self, folder: str, *keys: str) -> dict[str, Any]:
        """As `size`, of the model or language model in a folder."""
        entry = self._sizes.get(folder, {})
        missing = [key for key in keys if key not in entry]
        if missing:
            raise SecateurError(f"{self.root / SIZES_FILE}: {missing} of {folder} is missing; delete it and run again")
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
        return shown(self.config["searches"][search], "lm") or self.lm_of(search) or "none"


def smallest(size: Mapping[str, Any]) -> tuple[int, bool]:
    """The bytes of the smaller of the files that we write of a model, by its entry in `sizes.json`; if that is sparse.

    Where languages have masks of their own over the same weights, the dense format needs these files, too.
    """
    several = len(size.get("sparse_bytes_each", ())) > 1
    dense = size["bytes"] + (size["mask_bytes"] if several else 0)
    sparse = size.get("sparse_bytes", dense)
    return min(dense, sparse), sparse < dense


HEARD = (UTTERANCES, HYPOTHESES)
"""What `systems.utterances` reads of a decoding, beside the speakers of its data."""


def speakers_file(decoding: Decoding) -> str:
    """Who speaks in the data of a decoding, relative to the study's folder."""
    return f"data/{decoding.run.corpus}/{decoding.language}/{decoding.split}/utt2spk"


def _with_columns(path: Path, rows: list[dict[str, str]], columns: Sequence[str]) -> list[dict[str, str]]:
    """`rows`, which `path` holds, if they have all of `columns`."""
    missing = [column for column in columns if rows and column not in rows[0]]
    if missing:
        raise SecateurError(
            f"{path}: the columns {missing} are missing, found {list(rows[0])}; "
            "the file is from another version: delete it and run again"
        )
    return rows


def _having(path: Path, value: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """`value`, which `path` holds, if it has all of `keys`."""
    missing = [key for key in keys if key not in value]
    if missing:
        raise SecateurError(
            f"{path}: the keys {missing} are missing, found {sorted(value)}; "
            "the file is from another version: delete it and run again"
        )
    return value


def files_of(found: Iterable[Any], *names: str) -> Iterator[str]:
    """The files with these names of runs or decodings, which have a `folder`."""
    return (f"{one.folder}/{name}" for one in found for name in names)


def counted_of(found: Iterable[Any]) -> Iterator[str]:
    """What `systems.counts` reads of decodings: the errors of every utterance, and who speaks it."""
    for one in found:
        yield f"{one.folder}/{UTTERANCES}"
        yield speakers_file(one)


def main_split(config: Mapping[str, Any], corpus: str) -> str:
    """The split that claims are tested on: `test` if the study decodes it, else the first that it decodes."""
    found = reported_splits(config, corpus)
    return "test" if "test" in found else found[0]
