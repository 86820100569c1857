"""Where a study's files are: every path that a rule or a table names is made here or is the folder of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from secateur.speech import corpora
from secateur.study import own, runs

MODEL_TAIL = "models/{corpus}/{model}/{scope}/{method}/{level}/seed{seed}"
LM_TAIL = "lm/{corpus}/{lm}/seed{seed}"


@dataclass(frozen=True)
class Paths:
    """The files of a study.

    Attributes:
        config: the study's configuration, complete.
    """

    config: Mapping[str, Any]

    @property
    def root(self) -> str:
        """The folder of the study's results."""
        return f"results/{self.config['study']}"

    @property
    def logs(self) -> str:
        return f"logs/{self.config['study']}"

    def of(self, *tails: str) -> tuple[str, ...]:
        """Paths relative to the study's results as paths from where Snakemake runs."""
        return tuple(f"{self.root}/{tail}" for tail in tails)

    # --- data

    def splits(self, corpus: str) -> list[str]:
        return corpora.split_names(self.config["corpora"][corpus])

    def languages(self, corpus: str, scope: str = "all") -> list[str]:
        return runs.languages(self.config, corpus, scope)

    def data(self, corpus: str, language: str, split: str) -> tuple[str, ...]:
        """The files of a data directory that every recipe writes."""
        names = ("wav.scp", "segments", "text", "utt2spk", "utt2lang", "utt2dur")
        return self.of(*(f"data/{corpus}/{language}/{split}/{name}" for name in names))

    def features(self, corpus: str, language: str, split: str) -> tuple[str, ...]:
        names = ("feats.ark", "feats.scp", "utt2num_frames", "feats.crc32", "cmvn.json")
        return self.of(*(f"features/{corpus}/{language}/{split}/{name}" for name in names))

    def texts(self, corpus: str, split: str) -> list[str]:
        """The transcripts of a split, of all languages of a corpus."""
        return [f"{self.root}/data/{corpus}/{language}/{split}/text" for language in self.languages(corpus)]

    def tokens(self, corpus: str) -> tuple[str, ...]:
        """The token list, first, and what else it needs."""
        material = own.material_of(self.config, corpus)
        own_list = "bpe.model" if self.config["tokens"]["type"] == "bpe" else ""
        pieces = filter(None, [material["pieces"] if material else own_list])
        return self.of(*(f"tokens/{corpus}/{name}" for name in ("tokens.txt", *pieces)))

    def validation(self, corpus: str) -> str:
        return f"{self.root}/validation/{corpus}.tsv"

    # --- models

    def folder(self, run: runs.ModelRun | runs.Decoding) -> str:
        """The folder of a model or a decoding."""
        return f"{self.root}/{run.folder}"

    def model(self, folder: str) -> tuple[str, ...]:
        """The checkpoint in a folder relative to the study's results."""
        return self.of(f"{folder}/model.safetensors", f"{folder}/model.json")

    def models(self, found: Iterable[runs.ModelRun]) -> tuple[str, ...]:
        """The checkpoints of several models."""
        return tuple(file for run in found for file in self.model(run.folder))

    def lm(self, corpus: str, name: str, seed: int | str) -> str:
        """The folder of a language model, relative to the study's results."""
        return LM_TAIL.format(corpus=corpus, lm=name, seed=seed)

    def training(self, corpus: str, scope: str) -> tuple[str, ...]:
        """What a training reads: tokens, the validation (so that bad data stops it first), features and transcripts."""
        files = [*self.tokens(corpus), self.validation(corpus)]
        for language in self.languages(corpus, scope):
            for split in ("train", "dev"):
                files += self.features(corpus, language, split) + self.data(corpus, language, split)
        return tuple(files)

    def dev(self, corpus: str) -> tuple[str, ...]:
        """The dev data of all languages of a corpus."""
        return tuple(
            file
            for language in self.languages(corpus)
            for file in self.features(corpus, language, "dev") + self.data(corpus, language, "dev")
        )


def run_of(wildcards: Any) -> runs.ModelRun:
    """The model that the wildcards of a rule name."""
    sparsity = int(wildcards.level[1:]) / 1000
    at = wildcards
    return runs.ModelRun(at.corpus, at.model, at.scope, int(at.seed), at.method, sparsity)
