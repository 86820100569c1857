"""Data directories in eight scripts: right transcripts and units, from preparing to the tables."""

import pytest
import yaml
from clones import Clone
from eight_scripts import LINES, SIZES, UNITS, make

from secateur.core.files import read_json, read_tsv
from secateur.decoding.scoring import score, summary
from secateur.speech.corpora import kaldi
from secateur.speech.corpora.preparation import prepare, write_prepared
from secateur.speech.corpora.validate import validate
from secateur.speech.datadir import read_data_dir
from secateur.speech.tokens import Tokenizer, write_tokens

CORPUS = {"recipe": "kaldi", "languages": list(LINES)}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    root = tmp_path_factory.mktemp("eight")
    return root, make(root)


def test_transcripts_tokens_and_units_of_eight_scripts(spoken, tmp_path):
    root, wanted = spoken
    options = CORPUS | {"root": str(root), "splits": {name: name for name in SIZES}, "normalise": True, "exclude": []}
    options |= {"channel": None, "non_speech_tags": ["[noise]"], "unknown_tags": ["<unk>"]}
    for language in LINES:
        kaldi.fetch(options, language, tmp_path / "cache")
        prepared = prepare(options, language, tmp_path / "cache")
        texts = {each.id: each.text for members in prepared.splits.values() for each in members}
        assert texts == wanted[language]
        assert [(entry.utterance, entry.reason, entry.split) for entry in prepared.dropped] == [
            (f"{language}-unwritten", "speech without text", "test")
        ]
        write_prepared(tmp_path / "eight" / language, prepared)
    train = [each.text for language in LINES for each in read_data_dir(tmp_path / "eight" / language / "train")]
    write_tokens(tmp_path, train)
    tokens = Tokenizer.load(tmp_path / "tokens.txt").tokens
    assert set("打ปงкος\u200d한ज़") & set("".join(train)) <= set(tokens)
    rows, findings = validate(tmp_path / "eight", list(LINES), list(SIZES), tmp_path / "tokens.txt")
    findings.raise_errors()
    assert {(row["language"], row["unit"]) for row in rows} == set(UNITS.items())
    for language in LINES:
        references = {key: text for key, text in wanted[language].items() if "-test-" in key}
        spoilt = {key: text[:-1] + "x" for key, text in references.items()}
        result = summary(score(references, spoilt))
        count = sum(len(text) if UNITS[language] == "character" else len(text.split()) for text in references.values())
        assert (result["unit"], result["words"], result["errors"]) == (UNITS[language], count, len(references))


@pytest.mark.slow
def test_a_study_of_eight_scripts(spoken, tmp_path):
    """The whole workflow on the smallest models: prepared texts, units of scores, names of rates in tables and page."""
    root, wanted = spoken
    clone = Clone.make(tmp_path / "clone")
    study = yaml.safe_load((clone.folder / "workflow/studies/smoke.yaml").read_text())
    study = {key: study[key] for key in ("models", "language_models", "training", "pruning")}
    study |= {
        "study": "eight",
        "device": "cpu",
        "corpora": {"eight": CORPUS | {"root": str(root)}},
        "dense": [{"corpus": "eight", "model": "ctc", "scopes": ["all"]}],
        "decode": {"splits": ["test"], "searches": ["greedy"]},
        "layers": [{"model": "ctc", "strategies": ["truncate"], "searches": ["greedy"]}],
        **{stage: [] for stage in ("prune", "exits", "export", "regularise", "heads", "compose", "ssl")},
        "report": {"title": "Eight scripts"},
    }
    (clone.folder / "eight.yaml").write_text(yaml.safe_dump(study))
    clone.launch(study="eight.yaml")
    results = clone.folder / "results/eight"
    for language in LINES:
        prepared = results / "data/eight" / language
        texts = {each.id: each.text for split in SIZES for each in read_data_dir(prepared / split)}
        assert texts == wanted[language]
        folder = results / "models/eight/ctc/all/dense/s000/seed1/decode/greedy"
        rows = read_tsv(folder / "hypotheses.tsv")
        hypotheses = [row for row in rows if (row["split"], row["language"]) == ("test", language)]
        assert {row["utterance"]: row["reference"] for row in hypotheses} == {
            key: text for key, text in wanted[language].items() if "-test-" in key
        }
        assert read_json(folder / "score.json")["test"][language]["unit"] == UNITS[language]
    assert {row["language"]: row["unit"] for row in read_tsv(results / "tables/corpora.tsv")} == UNITS
    assert "Word or character error rate (%) by depth" in (results / "tables/layers.md").read_text(encoding="utf-8")
    rates = (results / "tables/wer.md").read_text(encoding="utf-8")
    assert "Word or character error rate (%)" in rates and "th (CER)" in rates and "en (CER)" not in rates
    assert "Counted in characters, not words: zh, th." in rates
    assert "Word or character error rate" in (results / "report/index.html").read_text(encoding="utf-8")
