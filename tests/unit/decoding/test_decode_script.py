"""The decoding and scoring scripts on a tiny model: the files that they exchange, and what they refuse."""

import json
from argparse import Namespace

import pytest
import torch
from tiny import GREEDY, LM, PLAIN, TOKENS, script, write_features

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_tsv
from secateur.layers.export import export
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.pruning.engines.mask import Mask, mask_file, save_masks
from secateur.pruning.sparse import export_sparse
from secateur.speech.datadir import Utterance, write_data_dir

PIECES = ["<blank>", "<unk>", "▁a", "b", "▁c", "a", "<sos/eos>"]
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.3, "lm": "lm", "lm_weight": 0.3, "length_bonus": 0.0}
LEXICON = {"type": "lexicon", "beam": 50, "order": 2, "lm_weight": 1.0, "word_score": 0.0}
WHOLE = {"layers": None, "heads": None, "depths": None, "rtf": None, "rtf_budget": None, "rtf_search": None}


@pytest.fixture
def folder(tmp_path):
    """Models, data and features of three utterances, which the archive holds in another order."""
    torch.manual_seed(0)
    for name, config, tokens in [("model", PLAIN, TOKENS), ("pieces", PLAIN, PIECES), ("lm", LM, TOKENS)]:
        save_model(tmp_path / name, build_model(config, tokens), config, tokens)
    texts = {"u1": "a b", "u2": "c", "u3": "ab ab"}
    utterances = [Utterance(name, f"{name}.wav", text, "s", "en", 0.5) for name, text in texts.items()]
    write_data_dir(tmp_path / "data", utterances)
    write_features(tmp_path / "features", {"u3": 48, "u1": 30, "u2": 41})
    return tmp_path


def decode(folder, search, model="model", **more):
    given = {"lm": None, "train_text": [], "mask": None, "languages": None, "splits": None} | WHOLE
    given |= {"tokens": None, "keep": None, "tuned": None, "tuned_as": None, "exits": None, "onnx": None} | more
    sets = {"data": [folder / "data"], "features": [folder / "features"]} | given
    arguments = Namespace(model=folder / model, search=search, device="cpu", output=folder / "out", **sets)
    record = {}
    script("decode").run(arguments, record)
    return record


@pytest.mark.parametrize(
    ("search", "more"),
    [
        (GREEDY, ()),
        (BEAM, ("lm",)),
        (LEXICON, ("train_text",)),
    ],
)
def test_hypotheses_and_scores(folder, search, more):
    if search is LEXICON:
        pytest.importorskip("flashlight")
    given = {"lm": folder / "lm", "train_text": [folder / "data" / "text"]}
    record = decode(folder, search, **{name: given[name] for name in more})
    assert (record["utterances"], record["frames"], record["batch"]) == (3, 119, search.get("batch", 1))
    rows = read_tsv(folder / "out" / "hypotheses.tsv")
    assert [(row["utterance"], row["reference"]) for row in rows] == [("u1", "a b"), ("u2", "c"), ("u3", "ab ab")]
    assert record["device"] == "cpu"

    script("score").run(Namespace(hypotheses=folder / "out" / "hypotheses.tsv", output=folder / "out"), {})
    scores = json.loads((folder / "out" / "score.json").read_text())
    counts = read_tsv(folder / "out" / "utterances.tsv")
    assert scores["words"] == sum(int(row["words"]) for row in counts) == 5
    assert scores["errors"] == sum(int(row["errors"]) for row in counts)
    assert scores["wer"] == pytest.approx(20 * scores["errors"])
    assert "utterances without an error" in (folder / "out" / "alignment.txt").read_text()


def test_size(folder):
    size = script("sizes").cost(folder / "model", load_model(folder / "model"))
    assert size["bytes"] == (folder / "model" / "model.safetensors").stat().st_size > 4 * size["parameters"]


@pytest.mark.parametrize("name", ["feats.scp", "utt2num_frames"])
def test_missing_features_are_named(folder, name):
    file = folder / "features" / name
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("u2")))
    with pytest.raises(SecateurError, match="no features of 'u2'"):
        decode(folder, GREEDY)


def test_a_search_that_does_not_fit_is_refused_before_anything_is_read(folder):
    (folder / "data" / "text").unlink()
    (folder / "features" / "feats.scp").unlink()
    with pytest.raises(SecateurError, match="beam is 7; it must be from 1 to 6"):
        decode(folder, BEAM | {"beam": 7, "lm": None})
    with pytest.raises(SecateurError, match="search ctc_greedy: batch_frames missing"):
        decode(folder, {"type": "ctc_greedy", "batch": 2})


@pytest.mark.parametrize(
    ("search", "model", "more", "message"),
    [
        (BEAM, "model", {"lm": "model"}, "type 'ctc', not a language model"),
        (BEAM, "pieces", {"lm": "lm"}, "tokens that are not the acoustic model's"),
        (LEXICON, "pieces", {}, "needs --tokens"),
        (GREEDY, "pieces", {"tokens": "tokens.txt"}, "not the token list of"),
    ],
)
def test_what_does_not_fit_is_refused(folder, search, model, more, message):
    (folder / "tokens.txt").write_text("\n".join(TOKENS) + "\n")
    with pytest.raises(SecateurError, match=message):
        decode(folder, search, model, **{name: folder / value for name, value in more.items()})


def test_sub_models_are_decoded_together_as_each_would_be_alone(folder):
    config = PLAIN | {"encoder": PLAIN["encoder"] | {"layers": 4}}
    torch.manual_seed(1)
    save_model(folder / "deep", build_model(config, TOKENS), config, TOKENS)
    depths = {"greedy": {3: [1, 2, 4], 1: [4]}, "truncate": {3: [1, 2, 3], 1: [4]}}
    for name, found in depths.items():
        kept = {str(depth): {"layers": layers} for depth, layers in found.items()}
        (folder / f"{name}.json").write_text(json.dumps({"depths": kept}))
    files = [folder / f"{name}.json" for name in depths]
    decode(folder, GREEDY, model="deep", layers=files, depths=[3, 1])
    rows = read_tsv(folder / "out" / "hypotheses.tsv")
    script("score").run(Namespace(hypotheses=folder / "out" / "hypotheses.tsv", output=folder / "out"), {})
    counts = read_tsv(folder / "out" / "utterances.tsv")
    scores = json.loads((folder / "out" / "score.json").read_text())
    # The layer that both strategies keep at depth 1 is decoded once.
    assert list(dict.fromkeys(row["sub_model"] for row in rows)) == ["1,2,4", "4", "1,2,3"] and scores.keys() == {
        "1,2,4", "4", "1,2,3"
    }  # fmt: skip
    for layers in scores:
        export(folder / "deep", map(int, layers.split(",")), folder / "alone")
        decode(folder, GREEDY, model="alone")
        alone = [row["hypothesis"] for row in read_tsv(folder / "out" / "hypotheses.tsv")]
        assert [row["hypothesis"] for row in rows if row["sub_model"] == layers] == alone
    assert scores["4"]["errors"] == sum(int(row["errors"]) for row in counts if row["sub_model"] == "4")


def test_a_budget_decides_the_depth(folder):
    config = PLAIN | {"encoder": PLAIN["encoder"] | {"layers": 2}}
    save_model(folder / "deep", build_model(config, TOKENS), config, TOKENS)
    (folder / "greedy.json").write_text(json.dumps({"depths": {"2": {"layers": [1, 2]}, "1": {"layers": [2]}}}))
    columns = ("system", "sub_model", "depth", "search", "device", "rtf")
    rows = [("deep", "", 2, "greedy", "cpu", 0.02), ("deep", "depth 1", 1, "greedy", "cpu", 0.01)]
    write_tsv(folder / "timing.tsv", columns, [dict(zip(columns, row, strict=True)) for row in rows])
    given = {"layers": [folder / "greedy.json"], "rtf": folder / "timing.tsv"}
    decode(folder, GREEDY, model="deep", rtf_budget=0.015, **given)
    assert {row["sub_model"] for row in read_tsv(folder / "out" / "hypotheses.tsv")} == {"2"}
    for more in ({"rtf_budget": None}, {"rtf_budget": 0.015, "depths": [1]}):
        with pytest.raises(SecateurError, match="which depths"):
            decode(folder, GREEDY, model="deep", **given | more)
    with pytest.raises(SecateurError, match="need --layers"):
        decode(folder, GREEDY, model="deep", depths=[1])


@pytest.fixture
def two_languages(folder):
    """The same test set as two languages', the second without its first utterance."""
    texts = {"u2": "c", "u3": "ab ab"}
    write_data_dir(
        folder / "more", [Utterance(name, f"{name}.wav", text, "s", "fr", 0.5) for name, text in texts.items()]
    )
    return {
        "languages": ["en", "fr"],
        "data": [folder / "data", folder / "more"],
        "features": [folder / "features"] * 2,
    }


def test_languages_are_decoded_together_as_each_would_be_alone(folder, two_languages):
    record = decode(folder, GREEDY, **two_languages)
    assert (record["utterances"], record["frames"], record["audio_s"]) == (5, 119 + 89, 2.5)
    rows, scores = read_tsv(folder / "out" / "hypotheses.tsv"), read_json(folder / "out" / "score.json")
    counts = read_tsv(folder / "out" / "utterances.tsv")
    for language, data in zip(("en", "fr"), two_languages["data"], strict=True):
        decode(folder, GREEDY, data=[data])
        alone = read_tsv(folder / "out" / "hypotheses.tsv")
        mine = [row for row in rows if row["language"] == language]
        assert [row["hypothesis"] for row in mine] == [row["hypothesis"] for row in alone]
        assert scores[language] == read_json(folder / "out" / "score.json")
        assert sum(int(row["errors"]) for row in counts if row["language"] == language) == scores[language]["errors"]
    with pytest.raises(SecateurError, match="--data has 1 folders, --features 2, --languages 2, --splits 0"):
        decode(folder, GREEDY, **two_languages | {"data": [folder / "data"]})


def test_splits_are_decoded_together_as_each_would_be_alone(folder, two_languages):
    """Test and dev of two languages, of which the utterances have the same names."""
    sets = {name: 2 * values for name, values in two_languages.items()} | {"splits": ["test", "test", "dev", "dev"]}
    sets["data"] = [folder / "data", folder / "more", folder / "more", folder / "data"]
    record = decode(folder, GREEDY, keep="code", **sets)
    assert (record["utterances"], record["frames"], record["audio_s"]) == (10, 2 * (119 + 89), 5.0)
    rows, scores = read_tsv(folder / "out" / "hypotheses.tsv"), read_json(folder / "out" / "score.json")
    assert list(rows[0])[:3] == ["split", "language", "utterance"]
    assert scores.keys() == {"test", "dev"}
    assert {file.stem for file in (folder / "out" / "parts").iterdir()} == {"test-en", "test-fr", "dev-en", "dev-fr"}
    counts = read_tsv(folder / "out" / "utterances.tsv")
    for place, (split, language) in enumerate(zip(sets["splits"], sets["languages"], strict=True)):
        decode(folder, GREEDY, data=[sets["data"][place]])
        alone = read_tsv(folder / "out" / "hypotheses.tsv")
        mine = [row for row in rows if (row["split"], row["language"]) == (split, language)]
        assert [row["hypothesis"] for row in mine] == [row["hypothesis"] for row in alone]
        assert scores[split][language] == read_json(folder / "out" / "score.json")
        found = [row for row in counts if (row["split"], row["language"]) == (split, language)]
        assert sum(int(row["errors"]) for row in found) == scores[split][language]["errors"]


def test_a_sparse_file_with_a_mask_for_each_language_is_decoded_with_the_language_s_mask(folder, two_languages):
    """As the checkpoint with its masks is; the two languages' masks give different hypotheses of the same speech."""
    model = load_model(folder / "model").model
    save_masks(folder / "model", {"en": Mask.random(model, 0.1, 1), "fr": Mask.random(model, 1.0, 2)})
    export_sparse(folder / "model", folder / "sparse")
    same = two_languages | {"data": [folder / "data"] * 2}
    found = {}
    for name in ("model", "sparse"):
        decode(folder, GREEDY, model=name, **same)
        found[name] = [(row["language"], row["hypothesis"]) for row in read_tsv(folder / "out" / "hypotheses.tsv")]
    assert found["sparse"] == found["model"]
    english, french = ([text for code, text in found["sparse"] if code == language] for language in ("en", "fr"))
    assert english != french
    with pytest.raises(SecateurError, match="language: none, wanted one of en, fr"):
        decode(folder, GREEDY, model="sparse")
    with pytest.raises(SecateurError, match="language: 'de', wanted one of en, fr"):
        decode(folder, GREEDY, model="sparse", **same | {"languages": ["en", "de"]})
    with pytest.raises(SecateurError, match="holds its masks; leave --mask out"):
        decode(folder, GREEDY, model="sparse", mask=mask_file(folder / "model", "en"), **same)
    # Another file is another model: nothing that was decoded before is kept.
    decode(folder, GREEDY, model="sparse", keep="code", **same)
    save_masks(folder / "model", {"en": Mask.random(model, 1.0, 3), "fr": Mask.random(model, 0.1, 4)})
    export_sparse(folder / "model", folder / "sparse")
    decode(folder, GREEDY, model="sparse", keep="code", **same)
    again = [(row["language"], row["hypothesis"]) for row in read_tsv(folder / "out" / "hypotheses.tsv")]
    assert again != found["sparse"]


def test_only_what_changed_is_decoded_again(folder, two_languages, monkeypatch):
    """Finished languages are kept while model, search, code and their own data are the same."""
    decoded, module = [], script("decode")

    def noted(arguments, recognizer, found):
        decoded.append(found.language)
        return original(arguments, recognizer, found)

    original = module.decoded
    monkeypatch.setattr(module, "decoded", noted)

    def again(search=GREEDY, **more):
        decoded.clear()
        decode(folder, search, **two_languages | {"keep": "code"} | more)
        return list(decoded)

    first = {key: value[:1] for key, value in two_languages.items()}
    assert again(**first) == ["en"]
    assert again() == ["fr"], "a language joins"
    hypotheses = (folder / "out" / "hypotheses.tsv").read_bytes()
    assert again() == [] and (folder / "out" / "hypotheses.tsv").read_bytes() == hypotheses
    (folder / "more" / "text").write_text("u2 a\nu3 ab ab\n")
    assert again() == ["fr"] and again(keep="edited") == ["en", "fr"]
    assert again(GREEDY | {"batch": 1}, keep="edited") == ["en", "fr"]
    save_model(folder / "model", build_model(PLAIN, TOKENS), PLAIN, TOKENS)
    assert again() == ["en", "fr"] and again(keep=None) == ["en", "fr"] and again() == []
    (folder / "out" / "parts" / "fr.json").write_text("{")
    assert again() == ["fr"]
    assert again(**first) == [] and not (folder / "out" / "parts" / "fr.json").exists()
