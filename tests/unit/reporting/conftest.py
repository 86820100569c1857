"""A miniature study: two languages, two seeds, three searches, with made-up numbers that can be checked by hand."""

import shutil
from pathlib import Path

import pytest
from decodings import write_decoding
from timings import write_times

from secateur.core.files import write_json, write_text, write_tsv
from secateur.overview.study import lm_runs
from secateur.reporting.drawing import write_figures
from secateur.reporting.registry import resolve
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.results import Results
from secateur.reporting.table import tables
from secateur.study.runs import Decoding, ModelRun, decodings, languages, lm_folder, model_runs

CONFIG = {
    "study": "tiny",
    "corpora": {"talk_show": {"recipe": "espeak", "languages": ["en", "fr"]}},
    "models": {"ctc": {"encoder": "transformer", "training": "acoustic"}},
    "training": {"acoustic": {"steps": 400}},
    "searches": {
        "greedy": {"type": "ctc_greedy"},
        "beam": {"type": "beam", "beam": 5},
        "beam_lm": {"type": "beam", "beam": 5, "lm": "small"},
    },
    "language_models": {"small": {"units": 16}},
    "prune": [],
    "layers": [],
    "regularise": [],
    "exits": [],
    "compose": [],
    "export": [],
    "streaming": [],
    "heads": [],
    "ssl": [],
    "dense": [{"corpus": "talk_show", "model": "ctc", "scopes": ["all", "each"]}],
    "decode": {"splits": ["test"], "searches": ["greedy", "beam", "beam_lm"]},
    "seeds": [0, 1],
    "report": {"title": "A tiny study & its <numbers>", "notes": "Written for the tests."},
}
DURATIONS = (1.0, 1.5)
"""Seconds of the two utterances that are timed."""
WORDS = (6, 4)
"""Reference words of the two utterances of every test set."""


def errors(language: str, search: str, seed: int) -> int:
    """Errors in the first utterance; the second has one."""
    return {"en": 1, "fr": 2}[language] + {"greedy": 2, "beam": 1, "beam_lm": 0}[search] + seed


def build(root: Path, config: dict, synthetic: bool = True) -> Path:
    """Write every file that the tables of `config` are made of."""
    for corpus in config["corpora"]:
        names = languages(config, corpus, "all")
        counts = {
            "hours": 0.5,
            "unit": "word",
            "words": 300,
            "types": 40,
            "speakers": 2,
            "seen_sentences": 1,
            "seen_speakers": 2,
            "uncovered": 0,
            "tags": 0,
            "untranscribed": 0,
            "dropped": 3,
            "resampled": 0,
            "synthetic": synthetic,
        }
        write_tsv(
            root / f"validation/{corpus}.tsv",
            ("language", "split", "utterances", *counts),
            [
                {"language": language, "split": split, "utterances": size, **counts}
                for language in names
                for split, size in (("train", 100), ("dev", 10), ("test", 2))
            ],
        )
        for language in names:
            folder = root / f"data/{corpus}/{language}"
            source = {"name": "Prompts & replies", "licence": "CC BY-SA 3.0", "credits": ["A. Voice", "B. Voice"]}
            write_json(folder / "source.json", source | {"synthetic": synthetic, "version": "1"})
            dropped = [("a", "too short"), ("b", "too short"), ("c", "no speech")]
            write_tsv(
                folder / "dropped.tsv",
                ("utterance", "reason", "detail"),
                [{"utterance": utterance, "reason": reason} for utterance, reason in dropped],
            )
    size = {
        "parameters": 1250000,
        "nonzero": 1250000,
        "bytes": 5000000,
        "macs_per_second": 31.5e6,
        "peak_memory": 210e6,
        "algorithmic_latency": None,
    }
    write_json(root / "masks.json", {"overlaps": [], "matrices": []})
    models = [run.folder for run in model_runs(config)] + [lm_folder(*run) for run in lm_runs(config)]
    write_json(root / "sizes.json", dict.fromkeys(models, size))
    for run in model_runs(config):
        training(root / run.folder, run.seed, steps=400)
    for decoding in decodings(config):
        folder, seed = root / decoding.folder, decoding.run.seed
        first = errors(decoding.language, decoding.search, seed)
        counts = {"errors": first + 1, "words": sum(WORDS), "utterances": 2}
        rate = 100 * (first + 1) / sum(WORDS)
        write_decoding(
            folder,
            decoding.language,
            counts | {"unit": "word", "wer": rate, "wer_low": rate - 5, "wer_high": rate + 5, "cer": rate / 2},
            split=decoding.split,
        )
        heard(root, decoding, {"": (first, 1)})
        write_json(folder / "run.json", record(seed, seconds=2.5, cpu_seconds=2.0))
        if name := config["searches"][decoding.search].get("lm"):
            lm_run = root / lm_folder(decoding.run.corpus, name, seed)
            if not lm_run.exists():
                training(lm_run, seed, steps=50)
    parts = ("heads", "layers", "exits", "export")
    if not any(config.get(section) for section in parts):  # their tests have times of their own
        write_times(root, config, seconds, DURATIONS)
    return root


def seconds(run: ModelRun, search: str, part: str) -> list[tuple[float, float, float]]:
    """Of two utterances: a real-time factor of 0.2, and 0.4 with a language model."""
    return [(0.05, 0.2, 0.25 if search == "beam_lm" else 0.0)] * 2


def heard(root: Path, decoding: Decoding, systems: dict[str, tuple[int, int]]) -> None:
    """Write what systems, by sub-model, made of the two utterances, with so many errors, and who spoke.

    As many words as there are errors are replaced, from the first. There are five characters to a word.
    """
    counts, texts = [], []
    for name, errors in systems.items():
        part = {"sub_model": name} if name else {}
        for place, (words, wrong) in enumerate(zip(WORDS, errors, strict=True)):
            said = [f"w{place}{number}" for number in range(words)]
            row = part | {"utterance": f"u{place}"}
            characters = {"characters": 5 * words, "character_errors": wrong}
            counts.append(row | {"words": words, "errors": wrong} | characters)
            heard_as = ["wrong"] * min(wrong, words) + said[min(wrong, words) :]
            texts.append(row | {"reference": " ".join(said), "hypothesis": " ".join(heard_as)})
    write_decoding(root / decoding.folder, decoding.language, utterances=counts, hypotheses=texts, split=decoding.split)
    speakers = root / f"data/{decoding.run.corpus}/{decoding.language}/{decoding.split}/utt2spk"
    write_text(speakers, "u0 anna\nu1 bert\n")


def training(folder: Path, seed: int, steps: int) -> None:
    write_json(folder / "run.json", record(seed, seconds=120.0 + seed, cpu_seconds=90.0 + seed, steps=steps))
    write_tsv(
        folder / "history.tsv",
        ("step", "learning_rate", "train_loss", "dev_loss", "grad_norm", "utterances", "seconds"),
        [
            {"step": step, "train_loss": 400 / step + seed, "dev_loss": 500 / step if step % 20 == 0 else None}
            for step in range(10, steps + 1, 10)
        ],
    )


def record(seed: int, **facts) -> dict:
    return {
        "host": "bench",
        "processor": "Model 9000",
        "threads": 1,
        "device": "cpu",
        "git": "abc123",
        "seed": seed,
        "started": f"2024-05-0{seed + 1}T12:00:00Z",
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
    } | facts


@pytest.fixture
def config() -> dict:
    return CONFIG


@pytest.fixture(scope="package")
def write_study():
    """The configuration, and the function that writes the files of a study."""
    return CONFIG, build


@pytest.fixture(scope="package")
def write_heard():
    """The function that writes what systems made of the utterances of a decoding."""
    return heard


@pytest.fixture(scope="package")
def files_read():
    """What the tables of a study read: a function of its configuration and folder."""

    def read(config: dict, root: Path) -> set[str]:
        results = Results(config, root)
        for table in tables():
            list(resolve(table.rows)(results))
        return results.read

    return read


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The files that tables are made of; for tests that change them."""
    return build(tmp_path / "tiny", CONFIG)


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with tables, figures and report; to be read only."""
    root = build(tmp_path_factory.mktemp("finished") / "tiny", CONFIG)
    write_tables(CONFIG, root)
    write_figures(root / "tables", root / "figures")
    write_report(CONFIG, root / "tables", root / "figures", root / "report" / "index.html", root)
    return root


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "tiny"))
