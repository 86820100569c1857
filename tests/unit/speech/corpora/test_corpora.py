"""The interface of the recipes, the scripts and the schema."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from secateur.config.complete import complete
from secateur.config.schema import SCHEMA as CONFIGURATION
from secateur.config.schema import filled
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.core.jobs import Options
from secateur.speech import corpora
from secateur.speech.corpora import Dropped, Prepared, asterisk, espeak, mls, recipe
from secateur.speech.corpora.preparation import write_prepared
from secateur.speech.datadir import Utterance, read_data_dir

PROJECT = Path(__file__).parents[4]
SCHEMA = filled(CONFIGURATION.with_name("corpora.schema.yaml")) | {"$ref": "#/$defs/corpus"}


def keys(name):
    """Properties of a recipe in the schema."""
    for part in SCHEMA["$defs"]["corpus"]["allOf"]:
        if part["if"]["properties"]["recipe"]["const"] == name:
            return part["then"]["properties"]
    raise AssertionError(f"no {name} in the schema")


def completed(name, **given):
    """An entry of the configuration for the recipe `name` as the rules see it: with the schema's defaults."""
    study = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    study["corpora"]["new"] = {"recipe": name, "languages": ["en"], "root": "root"} | given
    if "root" not in keys(name):
        del study["corpora"]["new"]["root"]
    return complete(study)["corpora"]["new"]


@pytest.mark.parametrize("name", corpora.RECIPES.names())
def test_every_recipe_has_the_interface(name):
    module = recipe(name)
    assert list(inspect.signature(module.fetch).parameters) == ["options", "language", "cache"]
    assert list(inspect.signature(module.prepare).parameters) == ["options", "language", "cache"]
    splits = corpora.split_names(completed(name))
    assert splits[:2] == ["train", "dev"] and len(splits) >= 3
    assert set(module.FETCH_OPTIONS) < set(keys(name))


def test_an_unknown_recipe():
    with pytest.raises(SecateurError, match=r"'timit' is unknown; it must be one of asterisk"):
        recipe("timit")


def utterance(key):
    return Utterance(key, f"{key}.wav", "a b", "s", "en", 1.0)


def test_write_prepared(tmp_path):
    prepared = Prepared(
        {"train": [utterance("a")], "dev": [utterance("b")]}, [Dropped("c", "not speech", "(x)", "dev")], {"name": "n"}
    )
    write_prepared(tmp_path, prepared)
    assert [u.id for split in ("train", "dev") for u in read_data_dir(tmp_path / split)] == ["a", "b"]
    assert read_tsv(tmp_path / "dropped.tsv") == [
        {"utterance": "c", "split": "dev", "reason": "not speech", "detail": "(x)"}
    ]
    assert read_json(tmp_path / "source.json") == {"name": "n"}
    with pytest.raises(SecateurError, match="'a' is in both train and dev"):
        write_prepared(tmp_path, Prepared({"train": [utterance("a")], "dev": [utterance("a")]}))
    with pytest.raises(SecateurError, match="dev: no utterances"):
        write_prepared(tmp_path, Prepared({"train": [utterance("a")], "dev": []}))


def script(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "secateur", name.replace("_", "-"), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_scripts_from_nothing_to_a_summary(tmp_path):
    fetching = {"recipe": "espeak", "voices": ["f1", "m3"]}
    options = fetching | {"seed": 0, "utterances": {"train": 40, "dev": 2, "test": 3}, "exclude": ["none"]}
    place = ("--language", "nl", "--cache", tmp_path / "cache")
    assert script("fetch_corpus", "--options", json.dumps(fetching), *place).returncode == 0
    common = ("--options", json.dumps(options), *place)
    data = tmp_path / "data"
    answer = script("prepare_corpus", *common, "--output", data / "nl", "--run-json", tmp_path / "run.json")
    assert answer.returncode == 0, answer.stderr
    assert read_json(tmp_path / "run.json")["utterances"] == {"train": 40, "dev": 2, "test": 3}
    letters = sorted({letter for u in read_data_dir(data / "nl/train") for letter in u.text} - {" "})
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("\n".join(["<blank>", "<unk>", "<space>", *letters, "<sos/eos>"]) + "\n", encoding="utf-8")
    validate = ("--data", data, "--languages", "nl", "--splits", "train", "dev", "test", "--tokens", tokens)
    answer = script("validate_corpus", *validate, "--output", tmp_path / "espeak.tsv")
    assert answer.returncode == 0, answer.stderr
    rows = read_tsv(tmp_path / "espeak.tsv")
    assert [(row["split"], row["utterances"], row["synthetic"]) for row in rows] == [
        ("train", "40", "true"),
        ("dev", "2", "true"),
        ("test", "3", "true"),
    ]
    answer = script("validate_corpus", *validate, "--input-layers", "--output", tmp_path / "audio-alone.tsv")
    assert answer.returncode == 0 and read_tsv(tmp_path / "audio-alone.tsv") == rows, answer.stderr
    Path(read_data_dir(data / "nl/train")[0].audio).write_bytes(b"")
    answer = script("validate_corpus", *validate, "--output", tmp_path / "again.tsv")
    assert answer.returncode == 1 and answer.stderr.startswith("error: the data cannot be trained on:\nunreadable")
    assert not (tmp_path / "again.tsv").exists()


def test_by_hand_every_key_has_to_be_given():
    given = Options(recipe="espeak", seed=0)
    with pytest.raises(SecateurError, match=r"key 'voices' is missing, beside recipe, seed; give every key"):
        espeak.fetch(given, "nl", Path("unused"))
    assert given["seed"] == 0


GOOD = [
    {"recipe": "asterisk", "languages": ["en", "ru"], "root": None, "dev_utterances": 10},
    {"recipe": "espeak", "languages": ["nl"], "utterances": {"train": 5}, "voices": ["f1"], "seed": 3},
    {
        "recipe": "kaldi",
        "languages": ["de"],
        "root": "x",
        "splits": {"train": "a", "dev": "b", "test": "c", "more": "d"},
    },
    {"recipe": "librispeech", "languages": ["en"], "root": "x", "train": ["train-clean-100", "train-other-500"]},
    {"recipe": "mls", "languages": ["fr", "pl"], "url": "http://localhost/{language}.tar.gz", "subset": "9h"},
    {
        "recipe": "mls",
        "languages": ["fr"],
        "root": "x",
        "exclude": ["10_200_000001"],
        "checksum": {"a.tar.gz": "0" * 32},
    },
]
BAD = [
    {"languages": ["en"]},
    {"recipe": "timit", "languages": ["en"]},
    {"recipe": "asterisk", "languages": []},
    {"recipe": "asterisk", "languages": ["nl"]},
    {"recipe": "asterisk", "languages": ["en", "en"]},
    {"recipe": "asterisk", "languages": ["en"], "voices": ["f1"]},
    {"recipe": "asterisk", "languages": ["en"], "test_utterances": 0},
    {"recipe": "espeak", "languages": ["ru"]},
    {"recipe": "espeak", "languages": ["en"], "utterances": {"trian": 5}},
    {"recipe": "kaldi", "languages": ["de"]},
    {"recipe": "kaldi", "languages": ["de"], "root": "x", "splits": {"train": "a", "dev": "b"}},
    {
        "recipe": "kaldi",
        "languages": ["de"],
        "root": "x",
        "splits": {"train": "a", "dev": "b", "test": "c", "A/b": "d"},
    },
    {"recipe": "librispeech", "languages": ["fr"], "root": "x"},
    {"recipe": "librispeech", "languages": ["en"], "root": "x", "train": ["../train"]},
    {"recipe": "mls", "languages": ["fr"], "root": "x", "subset": "5h"},
    {"recipe": "mls", "languages": ["fr"], "root": "x", "checksum": {"a.tar.gz": "short"}},
]


@pytest.mark.parametrize("entry", GOOD)
def test_schema_accepts(entry):
    jsonschema.validate(entry, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("entry", BAD)
def test_schema_rejects(entry):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(entry, SCHEMA, jsonschema.Draft202012Validator)


def test_schema_and_recipes_agree():
    assert corpora.RECIPES.names() == ["asterisk", "espeak", "kaldi", "librispeech", "mls"]
    assert SCHEMA["$defs"]["corpus"]["properties"]["recipe"]["enum"] == corpora.RECIPES.names()
    assert keys("asterisk")["languages"]["items"]["enum"] == sorted(asterisk.CREDITS)
    assert keys("espeak")["languages"]["items"]["enum"] == sorted(espeak.GRAMMARS)
    assert keys("mls")["languages"]["items"]["enum"] == sorted(mls.LANGUAGES)
    assert keys("mls")["subset"]["enum"] == list(mls.SUBSETS)


def test_every_key_is_described():
    for name in corpora.RECIPES.names():
        for key, schema in keys(name).items():
            target = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
            general = SCHEMA["$defs"]["corpus"]["properties"].get(key, {})
            assert "description" in schema or "description" in target or "description" in general, f"{name}.{key}"


def test_published_hours_are_counted_by_language_or_by_part():
    found = corpora.hours({"recipe": "mls", "subset": "full", "languages": ["pl", "it"]})
    assert found == (104 + 247, "Pratap et al. 2020")
    assert corpora.hours({"recipe": "mls", "subset": "9h", "languages": ["pl", "it"]}) == (18, "Pratap et al. 2020")
    parts = {"recipe": "librispeech", "train": ["train-clean-100", "train-clean-360"], "languages": ["en"]}
    assert corpora.hours(parts)[0] == pytest.approx(464.2)
    assert corpora.hours(parts | {"train": ["train-clean-100", "mine"]}) is None  # nobody published those
    assert corpora.hours({"recipe": "espeak", "languages": ["en"]}) is None


def test_a_corpus_says_which_of_its_options_are_paths():
    kaldi = {"recipe": "kaldi", "root": "r", "splits": {"train": "a", "dev": "b"}}
    assert list(corpora.paths(kaldi)) == [("", kaldi, ("root",)), (".splits", kaldi["splits"], ("train", "dev"))]
    assert list(corpora.paths({"recipe": "espeak"})) == []


def test_a_split_that_an_option_lists_may_not_have_the_name_of_another():
    assert corpora.repeated_splits({"recipe": "librispeech", "test": ["dev", "test-clean"]}) == [("test", "dev")]
    assert corpora.repeated_splits({"recipe": "mls"}) == []
