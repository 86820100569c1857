from types import SimpleNamespace

import pytest
import yaml
from snakemake.cli import parse_config
from studies import DEFAULT, PLAIN, ROOT, merged, refusal

from secateur.config.complete import complete
from secateur.config.written import from_command_line
from secateur.core.errors import SecateurError
from secateur.decoding import search as registry
from secateur.models.build import build_model
from secateur.study import commands, runs
from secateur.study.paths import Paths
from secateur.study.runs import decodings


@pytest.mark.parametrize("study", sorted((ROOT / "workflow" / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_is_valid_and_named_like_its_file(study):
    given = merged(DEFAULT, yaml.safe_load(study.read_text()))
    assert complete(given)["study"] == study.stem


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "workflow/studies").glob("evidence-*.yaml")))
def test_evidence_has_a_full_form_for_a_gpu(name):
    given = merged(DEFAULT, yaml.safe_load((ROOT / f"workflow/studies/{name}.yaml").read_text()))
    small, full = complete(given), complete(given | {"scale": "full"})
    assert len(full["seeds"]) >= 5 and set(small["seeds"]) <= set(full["seeds"])
    for training, keys in given["full"].get("training", {}).items():
        assert full["training"][training] == small["training"][training] | keys
    assert full["corpora"].keys() == small["corpora"].keys() and given["full"]


def test_a_study_without_a_full_form_says_so_and_a_command_line_goes_before_it():
    assert "scale: this study has no full form" in refusal(DEFAULT | {"scale": "full"})
    assert "scale: 'huge'" in refusal(DEFAULT | {"scale": "huge"})
    given = DEFAULT | {"full": {"seeds": [1, 2, 3], "device": "cuda"}}
    words = parse_config(["scale=full", "seeds=[7]"])
    found = complete(from_command_line(given | words, words))
    assert (found["seeds"], found["device"]) == ([7], "cuda")
    assert complete(given)["seeds"] == DEFAULT["seeds"]
    assert "stepz" in refusal(DEFAULT | {"scale": "full", "full": {"stepz": 3}})


def test_defaults_are_filled_in_at_every_depth():
    config = complete(DEFAULT)
    assert config["training"]["text"]["specaug"]["frequency_masks"] == 2
    assert config["models"]["ctc"]["encoder"]["attention_dropout"] == 0.0
    assert config["corpora"]["asterisk"]["test_utterances"] == 100
    assert config["searches"]["beam"]["length_bonus"] == 0.0
    assert "length_bonus" not in DEFAULT["searches"]["beam"], "the caller's configuration must stay as it is"


RNNT = {"type": "rnnt", "training": "acoustic", "encoder": {"type": "emformer", "layers": 2, "dim": 64}}
ALONE = {"corpus": "asterisk", "model": "ctc-small", "scopes": ["each"]}
STARTED = {
    "pretrained": None,
    "type": "hybrid",
    "training": "acoustic",
    "start": "ctc",
    "input": "stack",
    "stack": 3,
    "encoder": {"type": "conformer", "layers": 6, "dim": 128, "heads": 4, "ffn": 512, "kernel": 15},
}
"""A model that starts from the zoo's."""

MISTAKES = {
    "unknown key": ({"seed": 1}, "seed: unknown key (did you mean 'seeds'?); allowed: "),
    "unknown key below": (
        {"features": {"bins": 80}},
        "features.bins: unknown key (did you mean 'mel_bins'?); allowed: mel_bins, speeds",
    ),
    "unknown key of a corpus": (
        {"corpora": {"asterisk": {"langages": []}}},
        "corpora.asterisk.langages: unknown key (did you mean 'languages'?)",
    ),
    "key of another recipe": ({"corpora": {"asterisk": {"voices": ["f1"]}}}, "corpora.asterisk.voices: unknown key"),
    "wrong type": ({"seeds": 3}, "seeds: 3 is of the wrong type; allowed: array"),
    "wrong type below": (
        {"training": {"acoustic": {"steps": "many"}}},
        "training.acoustic.steps: 'many' is of the wrong type; allowed: integer",
    ),
    "out of range": (
        {"models": {"ctc-small": {"stochastic_depth": 1.0}}},
        "models.ctc-small.stochastic_depth: 1.0; allowed: < 1",
    ),
    "too small": ({"features": {"mel_bins": 4}}, "features.mel_bins: 4; allowed: ≥ 10"),
    "not one of": (
        {"training": {"acoustic": {"schedule": "cosin"}}},
        "training.acoustic.schedule: 'cosin' (did you mean 'cosine'?); allowed: noam, linear, cosine, constant",
    ),
    "bad name": ({"study": "My study"}, "study: 'My study'; allowed: lower-case letters, digits and inner hyphens"),
    "unknown recipe": ({"corpora": {"asterisk": {"recipe": "asterix"}}}, "corpora.asterisk.recipe: 'asterix' (did you"),
    "language that the recipe lacks": ({"corpora": {"asterisk": {"languages": ["en", "nl"]}}}, "'nl'"),
    "scope that the corpus lacks": (
        {"dense": [{"corpus": "asterisk", "model": "ctc", "scopes": ["it"]}]},
        "dense[0].scopes: 'it' is not in corpora.asterisk.languages; allowed: en, fr",
    ),
    "no such model": (
        {"dense": [{"corpus": "asterisk", "model": "ctcc"}]},
        "dense[0].model: 'ctcc' is not in models (did you mean 'ctc'?); allowed: ctc",
    ),
    "no such corpus": ({"dense": [{"corpus": "mls", "model": "ctc"}]}, "dense[0].corpus: 'mls' is not in corpora"),
    "no such training": ({"models": {"ctc": {"training": "x"}}}, "models.ctc.training: 'x' is not in training"),
    "no such search": ({"decode": {"searches": ["gredy"]}}, "decode.searches: 'gredy' is not in searches (did you"),
    "no such split": (
        {"decode": {"splits": ["tests"]}},
        "decode.splits: 'tests' is not in `conditions` and the splits of any corpus in `dense` (did you mean 'test'?)",
    ),
    "corpus from nowhere": (
        {"corpora": {"mls": {"recipe": "mls", "languages": ["fr"]}}},
        "corpora.mls.root: null, and so is url; allowed: the folder of the corpus",
    ),
    "text that is not there": (
        {"language_models": {"char-lm-small": {"text": {"en": "no/such.txt"}}}},
        "language_models.char-lm-small.text.en: 'no/such.txt' is no file",
    ),
    "text without a language": (
        {"language_models": {"char-lm-small": {"text": "README.md"}}},
        "language_models.char-lm-small.text: 'README.md' is of the wrong type; allowed: object or null",
    ),
    "no such language model": ({"searches": {"beam-lm": {"lm": "big"}}}, "searches.beam-lm.lm: 'big' is not in"),
    "beam wider than the list of pieces": (
        {"tokens": {"type": "bpe", "size": 20}, "searches": {"beam": {"beam": 23}}},
        "searches.beam.beam: 23; allowed: at most the tokens besides blank, 22",
    ),
    "unknown search": ({"searches": {"beam": {"type": "bean"}}}, "searches.beam: type 'bean' is unknown (did you mean"),
    "key of another search": ({"searches": {"greedy": {"beam": 5}}}, "searches.greedy.beam: unknown key"),
    "intermediate layer beyond the encoder": (
        {"models": {"ctc-small": {"intermediate_ctc": {"layers": [2, 9]}}}},
        "models.ctc-small.intermediate_ctc.layers: 9 is not below the encoder's last layer; allowed: 1 to ",
    ),
    "heads that do not divide": (
        {"models": {"ctc-small": {"encoder": {"heads": 5}}}},
        "models.ctc-small.encoder.heads: 5 heads",
    ),
    "even kernel": (
        {"models": {"ctc-small": {"encoder": {"kernel": 8}}}},
        "models.ctc-small.encoder.kernel: 8 is even",
    ),
    "heads of the language model": (
        {"language_models": {"char-lm-small": {"heads": 7}}},
        "language_models.char-lm-small.heads: 7",
    ),
    "a key of a model that is taken from a folder": (
        {"models": {"hybrid": {"stack": 4}}},
        "models.hybrid.stack: unknown key; allowed: pretrained, training; `pretrained: null` beside it",
    ),
    "search that does not fit the model": (
        {
            "searches": {"t": {"type": "transducer_greedy"}},
            "dense": [{"corpus": "asterisk", "model": "ctc", "searches": ["t"]}],
        },
        "dense[0].searches: 't' does not fit models of type ctc; allowed: greedy, beam, beam-lm, lexicon",
    ),
    "emformer without stacking": (
        {
            "models": {"r": RNNT | {"input": "conv2d"}},
            "dense": [{"corpus": "asterisk", "model": "r", "searches": ["t"]}],
            "searches": {"t": {"type": "transducer_greedy"}},
        },
        "models.r.input: 'conv2d'; allowed with an emformer: stack",
    ),
    "key of another encoder": (
        {"models": {"r": RNNT | {"encoder": RNNT["encoder"] | {"kernel": 15}}}},
        "models.r.encoder.kernel: unknown key",
    ),
    "no model to start from": (
        {"dense": [*DEFAULT["dense"], ALONE], "models": {"ctc-small": {"start": "hybrit"}}},
        "models.ctc-small.start: 'hybrit' is not in the models of type ctc or hybrid that start from random weights",
    ),
    "a start of another size": (
        {"models": {"hybrid": STARTED | {"encoder": STARTED["encoder"] | {"ffn": 384}}}},
        "models.hybrid.encoder.ffn: 384; allowed with start: ctc: 512, as that has",
    ),
    "a start with other frames": (
        {"models": {"hybrid": STARTED | {"stack": 4}}},
        "models.hybrid.stack: 4; allowed with start: ctc: 3, as that has",
    ),
    "a key that moved": (
        {"heads": [{"model": "ctc", "latency": {"repeats": 3}}]},
        "heads[0].latency.repeats: an earlier release's key; expected timing.rounds",
    ),
    "no decay": ({"training": {"acoustic": {"decay": 0}}}, "training.acoustic.decay: 0; allowed: > 0"),
    "speeds without 1": ({"features": {"speeds": [0.9]}}, "features.speeds: [0.9]"),
    "missing": ({"models": {"new": {"type": "ctc", "training": "acoustic"}}}, "models.new.encoder: missing"),
}


@pytest.mark.parametrize(("change", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_path_value_and_what_is_allowed(change, message):
    said = refusal(change)
    assert message in said and len(said.splitlines()) == 1, said


def test_another_corpus_as_a_condition_has_the_split_and_the_languages_that_are_heard():
    def given(**options):
        entry = {"type": "corpus", "corpus": "voices"} | options
        return {"conditions": {"far": entry}, "decode": {"splits": ["test", "dev", "far"]}}

    config = complete(merged(DEFAULT, given()))
    assert config["conditions"]["far"]["split"] == "test" and runs.splits(config, "asterisk")[-1] == "far"
    assert "conditions.far.corpus: 'voice' is not in corpora (did you mean 'voices'?)" in refusal(given(corpus="voice"))
    assert "conditions.far.split: 'tests' is not in the splits of 'voices' (did you mean 'test'?)" in refusal(
        given(split="tests")
    )
    few = {"corpora": {"voices": {"languages": ["en", "it"]}}, "ssl": []}
    with pytest.raises(SecateurError, match=r"conditions\.far\.languages: 'voices' lacks fr of 'asterisk'"):
        complete(merged(DEFAULT, given() | few))
    complete(merged(DEFAULT, given(languages=["en"]) | few))
    command = commands.condition(Paths(config), SimpleNamespace(corpus="asterisk", language="fr", split="far"))
    assert command.options["data"] == "results/default/data/voices/fr/test"
    assert command.options["output"] == "results/default/data/asterisk/fr/far"
    assert command.options["alphabet"] == {"case": "lower", "apostrophe": "'"}


def test_a_model_that_nothing_trains_may_have_another_size_than_its_start():
    """A study laid over this one replaces the model that it uses, and not the others."""
    small = {"models": {"ctc": {**DEFAULT["models"]["ctc-small"], "pretrained": None}, "hybrid": STARTED}}
    with pytest.raises(SecateurError, match=r"models\.hybrid\.encoder\.layers: 6; allowed with start: ctc: 4"):
        complete(merged(DEFAULT, small))
    dense = [{"corpus": "asterisk", "model": "ctc", "searches": ["greedy"]}]
    empty = {key: [] for key in ("prune", "layers", "exits", "heads", "compose", "export", "regularise", "ssl")}
    complete(merged(DEFAULT, small | empty | {"dense": dense, "decode": {"searches": ["greedy"]}}))


def test_corpora_may_have_different_splits():
    new = {"recipe": "librispeech", "languages": ["en"], "url": "http://localhost/{part}.tar.gz"}
    change = {
        "corpora": {"libri": new},
        "dense": [{"corpus": name, "model": "ctc"} for name in ("asterisk", "libri")],
        "decode": {"splits": ["test", "test-other"]},
    }
    config = complete(merged(DEFAULT, change))
    decoded = {(decoding.run.corpus, decoding.split) for decoding in decodings(config)}
    assert decoded == {("asterisk", "test"), ("libri", "test-other")}


def test_all_mistakes_are_reported_at_once():
    assert len(refusal({"seeds": 3, "features": {"bins": 80}}).splitlines()) == 2


def test_where_flashlight_has_no_build_the_study_goes_on_without_its_search(flashlight, monkeypatch, caplog):
    flashlight.clear()
    monkeypatch.setattr(registry.sys, "version_info", (3, 13, 1))
    config = complete(DEFAULT)
    assert config["decode"]["searches"] == ["greedy", "beam", "beam-lm"]
    assert {decoding.search for decoding in decodings(config)} == {"greedy", "beam", "beam-lm", "beam-lm-small"}
    assert caplog.messages == [
        "searches.lexicon is left out: it needs flashlight-text, which has no build for Python 3.13; use Python 3.11 "
        "or 3.12 (make PYTHON=python3.12)"
    ]
    with pytest.raises(SecateurError, match=r"searches.lexicon: needs flashlight-text, which has no build"):
        complete(merged(DEFAULT, {"decode": {"searches": ["lexicon"]}, "prune": []}))


def test_a_lexicon_search_needs_flashlight_only_where_it_is_used(flashlight, monkeypatch):
    flashlight.clear()
    monkeypatch.setattr(registry.sys, "version_info", (3, 11, 2))
    searches = {"searches": {"words": {"type": "lexicon"}}, "decode": {"searches": ["greedy"]}}
    searches["dense"] = [{"corpus": "asterisk", "model": "ctc"}]
    complete(merged(DEFAULT, searches))
    used = merged(DEFAULT, searches | {"decode": {"searches": ["greedy", "words"]}})
    with pytest.raises(SecateurError, match=r"^searches.words: .* is not installed; install it"):
        complete(used)


def test_a_transducer_is_configured_and_built():
    search = {"searches": {"stream": {"type": "transducer_greedy", "streaming": True}}, "models": {"r": RNNT}}
    entry = {"dense": [{"corpus": "asterisk", "model": "r", "searches": ["stream"]}]}
    config = complete(merged(DEFAULT, search | entry))
    assert {decoding.search for decoding in decodings(config)} == {"stream"}
    model = build_model(config["models"]["r"] | {"features": 80}, ["<blank>", "<unk>", "<space>", "a", "<sos/eos>"])
    assert model.algorithmic_latency == pytest.approx((4 + 1) * 4 * 0.01)


def test_a_study_may_have_encoders_alone_but_not_nothing():
    alone = {"dense": [], "prune": [], "layers": [], "regularise": [], "heads": []}
    assert complete(merged(DEFAULT, alone))["dense"] == []
    with pytest.raises(SecateurError, match=r"dense: \[\]; allowed: one model at least, or an entry in `ssl`"):
        complete(merged(DEFAULT, alone | {"ssl": []}))


def test_a_study_laid_over_another_trains_what_that_takes_from_a_folder():
    models = {"ctc": PLAIN | {"pretrained": None}}
    assert "own" in complete(DEFAULT)["models"]["ctc"]
    with pytest.raises(SecateurError, match=r"exits\[0\]\.model: 'ctc' has no intermediate CTC"):
        complete(merged(DEFAULT, {"models": models}))
    config = complete(merged(DEFAULT, {"models": models, "exits": []}))
    assert "own" not in config["models"]["ctc"] and config["models"]["ctc"]["encoder"]["dim"] == 32
    with pytest.raises(SecateurError, match=r"models\.ctc"):
        complete(merged(DEFAULT, {"models": {"ctc": {"encoder": {"layers": 2}}}}))


def test_lists_and_mappings_of_a_command_line_have_the_types_that_a_file_gives_them():
    """As Snakemake reads them, `seeds=[1, 2]` are texts."""
    asked = ["seeds=[1, 2]", "training={retrain: {steps: 5, learning_rate: 1.0e-3}}", "device=cpu"]
    words = parse_config(asked)
    given = {
        "seeds": words["seeds"],
        "device": "cpu",
        "training": {"retrain": {**words["training"]["retrain"], "warmup": 2}},
    }
    found = from_command_line(given, words)
    assert found["seeds"] == [1, 2]
    assert found["training"] == {"retrain": {"steps": 5, "learning_rate": 1e-3, "warmup": 2}}
    assert found["device"] == "cpu" and given["seeds"] == ["1", "2"]
    assert from_command_line({"seeds": [3]}, parse_config(["host={a: 1}"])) == {"seeds": [3]}
    assert from_command_line({"seeds": ["@a"]}, {"seeds": ["@a"]}) == {"seeds": ["@a"]}
