import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from secateur.core.errors import SecateurError
from secateur.decoding import search as registry
from secateur.models.build import build_model
from secateur.pruning.levels import spelled_out
from secateur.study import commands, runs
from secateur.study.config import complete
from secateur.study.paths import Paths
from secateur.study.runs import decodings

ROOT = Path(__file__).resolve().parents[3]
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture(autouse=True)
def flashlight(monkeypatch):
    """Whether flashlight-text is installed: pretend that it is, also where Python is too new for it."""
    found = {"flashlight": True}
    monkeypatch.setattr(registry, "find_spec", found.get)
    return found


def merged(base: dict, over: dict) -> dict:
    """As Snakemake lays a study over config.yaml: mappings are merged, everything else replaced."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


@pytest.mark.parametrize("study", sorted((ROOT / "workflow" / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_is_valid_and_named_like_its_file(study):
    given = merged(DEFAULT, yaml.safe_load(study.read_text()))
    assert complete(given)["study"] == study.stem


def test_defaults_are_filled_in_at_every_depth():
    config = complete(DEFAULT)
    assert config["training"]["text"]["specaug"]["frequency_masks"] == 2
    assert config["models"]["ctc"]["encoder"]["attention_dropout"] == 0.0
    assert config["corpora"]["asterisk"]["test_utterances"] == 100
    assert config["searches"]["beam"]["length_bonus"] == 0.0
    assert "length_bonus" not in DEFAULT["searches"]["beam"], "the caller's configuration must stay as it is"


RNNT = {"type": "rnnt", "training": "acoustic", "encoder": {"type": "emformer", "layers": 2, "dim": 64}}
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
        {"models": {"ctc-small": {"start": "hybrit"}}},
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
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, change))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, str(caught.value)


def test_what_is_exported_has_a_ctc_head_and_is_made_by_the_study():
    def said(**entry):
        with pytest.raises(SecateurError) as caught:
            complete(merged(DEFAULT, {"export": [{"model": "ctc"} | entry]}))
        return str(caught.value)

    assert [entry["formats"] for entry in complete(DEFAULT)["export"]] == [["onnx", "int8"]]
    assert "export[0].methods: the study makes no 'movement' of 'ctc'" in said(methods=["dense", "movement"])
    assert "export[0].searches: 'beam' runs the decoder of 'hybrid', which is not exported" in said(
        model="hybrid", searches=["beam"]
    )
    assert "export[0].formats[0]: 'int4'" in said(formats=["int4"])
    stream = {"rnnt": {"type": "rnnt", "encoder": NEW["encoder"] | {"type": "emformer"}, "training": "acoustic"}}
    given = {"models": stream, "dense": [{"corpus": "asterisk", "model": "rnnt"}], "export": [{"model": "rnnt"}]}
    with pytest.raises(
        SecateurError, match=r"export\[0\].model: 'rnnt' is of type rnnt with an encoder of type emformer"
    ):
        complete(merged(DEFAULT, given))


def test_another_corpus_as_a_condition_has_the_split_and_the_languages_that_are_heard():
    def given(**options):
        entry = {"type": "corpus", "corpus": "voices"} | options
        return merged(DEFAULT, {"conditions": {"far": entry}, "decode": {"splits": ["test", "dev", "far"]}})

    def said(**options):
        with pytest.raises(SecateurError) as caught:
            complete(given(**options))
        return str(caught.value)

    config = complete(given())
    assert config["conditions"]["far"]["split"] == "test" and runs.splits(config, "asterisk")[-1] == "far"
    assert "conditions.far.corpus: 'voice' is not in corpora (did you mean 'voices'?)" in said(corpus="voice")
    assert "conditions.far.split: 'tests' is not in the splits of 'voices' (did you mean 'test'?)" in said(
        split="tests"
    )
    few = {"corpora": {"voices": {"languages": ["en", "it"]}}, "ssl": []}
    with pytest.raises(SecateurError, match=r"conditions\.far\.languages: 'voices' lacks fr of 'asterisk'"):
        complete(merged(given(), few))
    complete(merged(given(languages=["en"]), few))
    command = commands.condition(Paths(config), SimpleNamespace(corpus="asterisk", language="fr", split="far"))
    assert command.options["data"] == "results/default/data/voices/fr/test"
    assert command.options["output"] == "results/default/data/asterisk/fr/far"
    assert command.options["alphabet"] == {"case": "lower", "apostrophe": "'"}


def test_what_streams_is_a_transducer_with_an_emformer_and_is_made_by_the_study():
    stream = {"rnnt": {"type": "rnnt", "encoder": NEW["encoder"] | {"type": "emformer"}, "training": "acoustic"}}
    dense = [{"corpus": "asterisk", "model": "rnnt", "searches": ["stream"]}]
    searches = {"stream": {"type": "transducer_greedy", "streaming": True}}
    given = {"models": stream, "dense": [*DEFAULT["dense"], *dense], "searches": searches}

    def said(*entries):
        with pytest.raises(SecateurError) as caught:
            complete(merged(DEFAULT, given | {"streaming": list(entries)}))
        return str(caught.value)

    (entry,) = complete(merged(DEFAULT, given | {"streaming": [{"model": "rnnt"}]}))["streaming"]
    assert (entry["corpus"], entry["methods"], entry["milliseconds"]) == ("asterisk", None, 100)
    assert "streaming[0].model: 'ctc' is of type ctc with an encoder of type conformer" in said({"model": "ctc"})
    assert "streaming[0].methods: the study makes no 'imp' of 'rnnt'" in said({"model": "rnnt", "methods": ["imp"]})
    assert "streaming[1]: a second entry for model 'rnnt'" in said({"model": "rnnt"}, {"model": "rnnt"})
    assert "streaming[0].model: 'rnn' is not in models (did you mean 'rnnt'?)" in said({"model": "rnn"})


def test_a_model_that_nothing_trains_may_have_another_size_than_its_start():
    """A study laid over this one replaces the model that it uses, and not the others."""
    small = {"models": {"ctc": {**DEFAULT["models"]["ctc-small"], "pretrained": None}, "hybrid": STARTED}}
    with pytest.raises(SecateurError, match=r"models\.hybrid\.encoder\.layers: 6; allowed with start: ctc: 4"):
        complete(merged(DEFAULT, small))
    dense = [{"corpus": "asterisk", "model": "ctc", "searches": ["greedy"]}]
    empty = {key: [] for key in ("prune", "layers", "exits", "heads", "compose", "export", "regularise", "ssl")}
    complete(merged(DEFAULT, small | empty | {"dense": dense, "decode": {"searches": ["greedy"]}}))


PRUNE = {
    "training": {"retrain": {"steps": 100, "learning_rate": 1.0e-4, "average_best": 0}},
    "pruning": {"p": {"levels": [0.5, 0.7], "training": "retrain", "adapt_every": 10}},
}
PATHWAYS = {"model": "ctc", "schedule": "p", "pathways": [{"start": [["lth", 0.7]]}]}


def test_pruning_is_about_all_corpora_and_languages_that_its_model_is_trained_on():
    corpora = {
        "other": {"recipe": "espeak", "languages": ["it", "nl"]},
        "one": {"recipe": "espeak", "languages": ["en"]},
    }
    dense = [{"corpus": name, "model": "ctc"} for name in ("asterisk", "other", "one")]
    dense.append({"corpus": "other", "model": "ctc-small", "scopes": ["each"]})
    prune = [PATHWAYS, PATHWAYS | {"model": "ctc-small"}]
    config = complete(merged(DEFAULT, PRUNE | {"corpora": corpora, "dense": dense, "prune": prune}))
    assert [(entry["corpus"], entry["model"]) for entry in config["prune"]] == [
        ("asterisk", "ctc"), ("other", "ctc"), ("one", "ctc")
    ]  # fmt: skip
    assert [[part["languages"] for part in entry["pathways"]] for entry in config["prune"]] == [
        [["en", "fr"]], [["it", "nl"]], []
    ]  # fmt: skip


def schedule(**changes):
    return PRUNE | {"pruning": {"p": PRUNE["pruning"]["p"] | changes}, "prune": [PATHWAYS]}


def test_a_cubic_schedule_spells_out_its_levels():
    """Zhu & Gupta's by hand, to 0.7 in four levels: 0.7·(1 − 0.75³), 0.7·(1 − 0.5³), 0.7·(1 − 0.25³), 0.7."""
    cubic = {"type": "cubic", "target": 0.7, "count": 4}
    wanted = [0.405, 0.613, 0.689, 0.7]
    assert complete(merged(DEFAULT, schedule(levels=cubic)))["pruning"]["p"]["levels"] == wanted
    # From 0.2 on: 0.7 − 0.5·0.125, and the target.
    assert spelled_out(cubic | {"count": 2, "initial": 0.2}) == [0.638, 0.7]
    assert spelled_out(cubic | {"count": 1, "initial": 0.0}) == [0.7]


SCHEDULE_MISTAKES = {
    "an old key": ({"keep_moments": True}, "pruning.p.keep_moments: an earlier release's key; expected moments: keep"),
    "no levels": ({"levels": 0.7}, "pruning.p.levels: 0.7 is of the wrong type; allowed: array or object"),
    "a curve without end": ({"levels": {"type": "cubic", "count": 3}}, "pruning.p.levels.target: missing; it is re"),
    "a curve that is none": (
        {"levels": {"type": "cubic", "target": 0.5, "count": 3, "initial": 0.6}},
        "pruning.p.levels: [0.53, 0.504, 0.5] does not rise; allowed: sparsities in rising order",
    ),
    "too many levels": (
        {"levels": {"type": "cubic", "target": 0.7, "count": 40}}, "0.7, 0.7] does not rise; allowed: sparsities in"
    ),
    "all settling": ({"settle": 1}, "pruning.p.settle: 1; allowed: < 1"),
    "too seldom": (
        {"adapt_every": 60},
        "pruning.p.adapt_every: 60; allowed: less than the steps of a level before it settles, "
        "training.retrain.steps = 100 without pruning.p.settle = 0.4 of them: 60",
    ),
    "too seldom for each language": (
        {"adapt_every": 50, "steps_per": "all"},
        "prune[0].pathways[0]: pruning.p.adapt_every is 50; allowed: less than the 50 steps that each of 2 languages",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), SCHEDULE_MISTAKES.values(), ids=SCHEDULE_MISTAKES)
def test_a_mistake_in_a_schedule(change, message):
    dynamic = {"prune": [PATHWAYS | {"pathways": [{"method": "dynamic", "start": [["lth", 0.7]]}]}]}
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, schedule(**change) | dynamic))
    assert message in str(caught.value)


PRUNING_MISTAKES = {
    "not dense": ({"corpus": "asterisk", "model": "ctc-small"}, "prune[0].model: 'ctc-small' is not in `dense` with"),
    "no such schedule": ({"schedule": "q"}, "prune[0].schedule: 'q' is not in pruning; allowed: p"),
    "no such level": ({"pathways": [{"start": [["lth", 0.6]]}]}, "prune[0].pathways[0].start: 0.6 is no level of"),
    "one language": ({"pathways": [{"languages": ["en"], "start": [["lth", 0.7]]}]}, "prune[0].pathways[0].languages"),
    "no such language": (
        {"pathways": [{"languages": ["en", "nl"], "start": [["lth", 0.7]]}]},
        "prune[0].pathways[0].languages: 'nl' is not in corpora.asterisk.languages; allowed: en, fr",
    ),
    "a key of an earlier release": (
        {"pathways": [{"dynamic": True, "start": [["lth", 0.7]]}]},
        "prune[0].pathways[0].dynamic: an earlier release's key; expected method: dynamic (or pathways)",
    ),
}


@pytest.mark.parametrize(("change", "message"), PRUNING_MISTAKES.values(), ids=PRUNING_MISTAKES)
def test_a_mistake_in_pruning(change, message):
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, PRUNE | {"prune": [PATHWAYS | change]}))
    assert message in str(caught.value)


def test_a_second_entry_for_a_model_is_a_variant():
    with pytest.raises(SecateurError, match=r"prune\[1\]: a second entry for model 'ctc' of 'asterisk'; allowed: one"):
        complete(merged(DEFAULT, PRUNE | {"prune": [PATHWAYS, PATHWAYS]}))
    config = complete(merged(DEFAULT, PRUNE | {"prune": [PATHWAYS, PATHWAYS | {"variant": "other"}]}))
    methods = {decoding.run.method for decoding in decodings(config)}
    assert methods >= {"pathways-lth-s700", "pathways-lth-s700+other"}


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
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, {"seeds": 3, "features": {"bins": 80}}))
    assert len(str(caught.value).splitlines()) == 2


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


ENCODER = {"type": "transformer", "layers": 6, "dim": 32, "heads": 2, "ffn": 64}
PLAIN = {"type": "ctc", "training": "acoustic", "encoder": ENCODER}
LATE = {"model": "deep-plain", "variants": [{"name": "both", "training": "late"}]}
LAYERS = {
    "models": {
        "deep": PLAIN | {"intermediate_ctc": {"layers": [2, 4]}, "stochastic_depth": 0.2},
        "deep-plain": PLAIN,
    },
    "training": {"late": {"steps": 10, "learning_rate": 1.0e-3}},
    "dense": [
        {"corpus": "asterisk", "model": "ctc"},
        {"corpus": "asterisk", "model": "ctc-small", "scopes": ["each"]},
        {"corpus": "asterisk", "model": "deep", "searches": ["greedy"]},
        {"corpus": "asterisk", "model": "deep-plain", "searches": ["greedy"]},
    ],
    "layers": [],
    "regularise": [LATE],
}


def test_a_depth_that_is_trained_alone_is_a_model_of_its_own():
    config = complete(merged(DEFAULT, LAYERS | {"layers": [{"model": "deep", "trained": [4, 2]}]}))
    (entry,) = config["layers"]
    assert (entry["corpus"], entry["depths"]) == ("asterisk", [5, 4, 3, 2, 1])
    whole, smaller = config["models"]["deep"], config["models"]["deep-depth4"]
    assert whole["intermediate_ctc"]["layers"] == [2, 4] and whole["encoder"]["layers"] == 6
    assert (smaller["intermediate_ctc"]["layers"], smaller["stochastic_depth"]) == ([], 0.0)
    assert smaller["encoder"]["layers"] == 4
    assert {key: smaller[key] for key in ("training", "stack")} == {key: whole[key] for key in ("training", "stack")}
    # 2 and 4 of 6 layers are 4/3 and 8/3 of 4
    other = config["models"]["deep-depth4-regularised"]
    assert (other["intermediate_ctc"]["layers"], other["stochastic_depth"]) == ([1, 3], whole["stochastic_depth"])
    assert config["models"]["deep-depth2-regularised"]["intermediate_ctc"]["layers"] == [1]
    trained = [entry for entry in config["dense"] if entry["model"].startswith("deep-depth")]
    assert [(entry["model"], entry["scopes"], entry["searches"]) for entry in trained] == [
        (f"deep-depth{depth}{kind}", ["all"], ["greedy"]) for depth in (4, 2) for kind in ("", "-regularised")
    ]
    alone = {"model": "deep-plain", "trained": [1], "trained_with": "acoustic-small"}
    config = complete(merged(DEFAULT, LAYERS | {"layers": [alone]}))
    assert config["models"]["deep-plain-depth1"]["training"] == "acoustic-small"
    assert "deep-plain-depth1-regularised" not in config["models"]  # nor has the whole model any regulariser
    # With one layer, stochastic depth would skip the only one.
    one = complete(merged(DEFAULT, LAYERS | {"layers": [{"model": "deep", "trained": [1]}]}))["models"]
    assert "deep-depth1-regularised" not in one


def test_a_rival_is_chosen_on_dev_data():
    given = LAYERS | {"layers": [{"model": "deep", "trained": [4]}], "decode": {"splits": ["test"]}}
    with pytest.raises(SecateurError, match="on which a rival is chosen"):
        complete(merged(DEFAULT, given))
    given = LAYERS | {"layers": [{"model": "deep", "trained": [4], "trained_with": "acoustik"}]}
    with pytest.raises(SecateurError, match="did you mean 'acoustic'"):
        complete(merged(DEFAULT, given))


def test_an_entry_of_heads_for_all_corpora_leaves_out_what_one_lacks():
    both = copy.deepcopy(DEFAULT)
    both["heads"][0]["combine"] = {"depth": 4}
    ctc, hybrid = complete(both)["heads"]
    assert ctc["lms"] == ["beam", "beam-lm-small", "beam-lm"] and ctc["latency"]["searches"] == ["greedy"]
    wanted = {"training": "recover", "rates": [1e-4, 3e-4], "distil": 0.0, "policies": ["global"], "shares": [0.5]}
    assert ctc["recovery"] == wanted
    assert ctc["combine"] == {"depth": 4, "strategy": "greedy", "policy": "global", "share": 0.5, "recovery": False}
    assert (
        hybrid["searches"] == ["beam"]
        and hybrid["latency"]["searches"] == ["beam", "greedy"]
        and hybrid["recovery"] is None
    )
    other = {"dense": [{"corpus": "asterisk", "model": "ctc", "searches": ["greedy"]}], "layers": []}
    (ctc,) = complete(merged(both, other | {"prune": [], "regularise": []}))["heads"]
    assert (ctc["lms"], ctc["combine"]) == ([], None)


HEADS = {"model": "ctc", "corpus": "asterisk"}
HEAD_MISTAKES = {
    "no such model": ([{"model": "cct"}], "heads[0].model: 'cct' is not in models (did you mean 'ctc'?)"),
    "no such corpus": ([HEADS | {"corpus": "asterix"}], "heads[0].corpus: 'asterix' is not in corpora (did you mean"),
    "not all languages": (
        [HEADS | {"model": "ctc-small"}],
        "heads[0].model: 'ctc-small' is not in `dense` with scope `all`; train it",
    ),
    "twice": ([HEADS, HEADS], "heads[1]: a second entry for model 'ctc'; allowed: one"),
    "no such policy": ([HEADS | {"policies": ["globl"]}], "heads[0].policies[0]: 'globl' (did you mean 'global'?)"),
    "no such importance": (
        [HEADS | {"importances": ["gradent"]}],
        "importances[0]: 'gradent' (did you mean 'gradient'",
    ),
    "nothing removed": ([HEADS | {"shares": [0.0]}], "heads[0].shares[0]: 0.0; allowed: > 0"),
    "how often again": (
        [HEADS | {"importances": ["gradient-again"]}],
        "heads[0].again: null; allowed with gradient-again: heads to remove before they are estimated again",
    ),
    "another search": (
        [{"model": "hybrid", "searches": ["beam-lm"]}],
        "heads[0].searches: 'beam-lm' is not a search of the whole model, smaller ones are compared with it; allowed:",
    ),
    "one search of two that never runs the decoder": (
        [{"model": "hybrid", "searches": ["beam", "greedy"]}],
        "heads[0].searches: 'greedy' does not run the decoder of 'hybrid', whose heads are removed, too; allowed: beam",
    ),
    "a kind of attention that is not there": (
        [HEADS | {"policies": ["global", "self-first"]}],
        "heads[0].policies: 'self-first'; allowed for 'ctc', which has no decoder-self: others",
    ),
    "a decoder that is never run": (
        [{"model": "hybrid", "searches": ["greedy"]}],
        "heads[0].searches: 'greedy' does not run the decoder of 'hybrid', whose heads are removed, too; allowed: beam",
    ),
    "time of a lexicon": (
        [HEADS | {"latency": {"searches": ["lexicon"]}}],
        "heads[0].latency.searches: 'lexicon'; allowed: searches without a lexicon",
    ),
    "time of nothing": (
        [HEADS | {"latency": {"searches": ["beeam"]}}],
        "heads[0].latency.searches: 'beeam' is not in searches (did you mean 'beam'?)",
    ),
    "no such LM": ([HEADS | {"lms": ["beam", "beamlm"]}], "heads[0].lms: 'beamlm' is not in searches (did you mean"),
    "none without": (
        [HEADS | {"lms": ["beam-lm", "beam-lm-small"]}],
        "heads[0].lms: beam-lm, beam-lm-small; allowed: one search without a language model, and some with one",
    ),
    "nothing to compare": ([HEADS | {"lms": ["beam"]}], "heads[0].lms: beam; allowed: one search without"),
    "another kind of search": (
        [HEADS | {"lms": ["greedy", "beam-lm"]}],
        "heads[0].lms: greedy, beam-lm; allowed: searches of one type, to compare language models",
    ),
    "no such recipe": (
        [HEADS | {"recovery": {"training": "lat"}}],
        "heads[0].recovery.training: 'lat' is not in training (did you mean 'late'?)",
    ),
    "recovers what is not removed": (
        [HEADS | {"recovery": {"training": "late", "shares": [0.3]}}],
        "heads[0].recovery.shares: 0.3 is not among the shares; allowed: 0.25, 0.5, 0.75, 1",
    ),
    "share without a folder": (
        [HEADS | {"shares": [0.3333], "recovery": {"training": "late", "shares": [0.3333]}}],
        "heads[0].recovery.shares: 0.3333; allowed: shares in three decimals",
    ),
    "recovers by another policy": (
        [HEADS | {"policies": ["by-layer"], "recovery": {"training": "late"}}],
        "heads[0].recovery.policies: 'global' is not among the policies; allowed: by-layer",
    ),
    "no layers": (
        [{"model": "hybrid", "corpus": "asterisk", "searches": ["beam"], "combine": {"depth": 2}}],
        "heads[0].combine: 'hybrid' has no entry in `layers`, which says how its layers are chosen; make one",
    ),
    "no such depth": (
        [HEADS | {"combine": {"depth": 6}}],
        "heads[0].combine.depth: 6 is not among the depths of its entry in `layers`; allowed: 5, 4, 3",
    ),
    "nothing to recover by": (
        [HEADS | {"combine": {"depth": 4, "recovery": True}}],
        "heads[0].combine.recovery: true; allowed without `recovery` of the entry, which says how to train: false",
    ),
}


@pytest.mark.parametrize(("heads", "message"), HEAD_MISTAKES.values(), ids=HEAD_MISTAKES)
def test_a_mistake_about_heads_is_one_line(heads, message):
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, {"heads": heads}))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, str(caught.value)


LAYER_MISTAKES = {
    "no such model": (
        {"layers": [{"model": "deeep"}]},
        "layers[0].model: 'deeep' is not in models (did you mean 'deep'",
    ),
    "not all languages": (
        {"layers": [{"model": "ctc-small", "corpus": "asterisk"}]},
        "layers[0].model: 'ctc-small' is not in `dense` with scope `all`; train it",
    ),
    "too deep": ({"layers": [{"model": "deep", "depths": [6]}]}, "layers[0].depths: 6; allowed: 1 to 5"),
    "trained at another depth": (
        {"layers": [{"model": "deep", "depths": [4], "trained": [3]}]},
        "layers[0].trained: 3 is not among the depths; allowed: 4",
    ),
    "twice": ({"layers": [{"model": "deep"}, {"model": "deep"}]}, "layers[1]: a second entry for model 'deep'"),
    "no such variant": (
        {"layers": [{"model": "deep-plain", "variant": "bothh"}]},
        "layers[0].variant: 'bothh' is not in regularise of 'deep-plain' (did you mean 'both'?)",
    ),
    "another search": (
        {"layers": [{"model": "deep", "searches": ["beam"]}]},
        "layers[0].searches: 'beam' is not a search of the whole model",
    ),
    "no such strategy": ({"layers": [{"model": "deep", "strategies": ["gredy"]}]}, "'gredy' (did you mean 'greedy'?)"),
    "late layer": (
        {"regularise": [LATE | {"variants": [LATE["variants"][0] | {"intermediate_ctc": {"layers": [6]}}]}]},
        "regularise[0].variants[0].intermediate_ctc.layers: 6; allowed: 1 to 5",
    ),
    "nothing rises": (
        {"regularise": [LATE | {"variants": [LATE["variants"][0] | {"rise": 3}]}]},
        "regularise[0].variants[0].rise: 3; allowed without intermediate CTC: 0",
    ),
    "name twice": (
        {"regularise": [LATE | {"variants": LATE["variants"] * 2}]},
        "regularise[0].variants[1].name: 'both' is taken",
    ),
    "no such recipe": (
        {"regularise": [LATE | {"variants": [{"name": "a", "training": "lat"}]}]},
        "regularise[0].variants[0].training: 'lat' is not in training (did you mean 'late'?)",
    ),
    "no scratch": (
        {"regularise": [LATE | {"scratch": "ctc-small"}]},
        "regularise[0].scratch: 'ctc-small' is not in `dense` with scope `all`; train it",
    ),
}


@pytest.mark.parametrize(("change", "message"), LAYER_MISTAKES.values(), ids=LAYER_MISTAKES)
def test_a_mistake_about_layers(change, message):
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, LAYERS | change))
    assert message in str(caught.value)


STUDENT = {"name": "pruned", "type": "gates", "training": "distil", "distil": [2, 4], "sparsity": 0.8}
UPSTREAM = {
    "name": "one",
    "corpus": "voices",
    "encoder": {"model_type": "wavlm", "num_hidden_layers": 4},
    "pretraining": {"iterations": [{"clusters": 5, "training": "pretrain"}]},
    "students": [STUDENT],
}


def wavlm(**sizes):
    return {"encoder": UPSTREAM["encoder"] | sizes}


SSL_MISTAKES = {
    "corpus": ({"corpus": "voice"}, "ssl[0].corpus: 'voice' is not in corpora (did you mean 'voices'?)"),
    "language": ({"languages": ["de"]}, "ssl[0].languages: 'de' is not in corpora.voices.languages"),
    "split": ({"splits": {"test": "tests"}}, "ssl[0].splits.test: 'tests' is not in the splits of 'voices'"),
    "two teachers": ({"folder": "/x"}, "`folder` of a teacher, or an `encoder` to pretrain"),
    "not pretrained": ({"pretraining": None}, "ssl[0].pretraining: allowed with `encoder`: how it is pretrained"),
    "model type": ({"encoder": {"model_type": "whisper"}}, "ssl[0].encoder.model_type: 'whisper'; allowed: wavlm"),
    "frame rate": (
        wavlm(conv_stride=[5, 2, 2, 2, 2, 1, 1]),
        "ssl[0].encoder.conv_stride: frames every 80 samples; allowed: multiples of 160",
    ),
    "size": (
        wavlm(num_hidden_layer=4),
        "ssl[0].encoder.num_hidden_layer: unknown key (did you mean 'num_hidden_layers'?)",
    ),
    "no layers": (wavlm(num_hidden_layers=0), "ssl[0].encoder.num_hidden_layers: 0; allowed: ≥ 1"),
    "no list": (wavlm(conv_stride="abc"), "ssl[0].encoder.conv_stride: 'abc' is of the wrong type; allowed: array"),
    "no number": (wavlm(conv_dim=["a"]), "ssl[0].encoder.conv_dim[0]: 'a' is of the wrong type; allowed: integer"),
    "rate": (wavlm(hidden_dropout=1), "ssl[0].encoder.hidden_dropout: 1; allowed: < 1"),
    "heads": (
        wavlm(hidden_size=128, num_attention_heads=3),
        "ssl[0].encoder.num_attention_heads: 3 does not divide hidden_size = 128",
    ),
    "groups": (
        wavlm(num_conv_pos_embedding_groups=7),
        "ssl[0].encoder.num_conv_pos_embedding_groups: 7 does not divide hidden_size = 768",
    ),
    "convolutions": (
        wavlm(conv_kernel=[10, 3]),
        "ssl[0].encoder: conv_dim has 7, conv_kernel has 2, conv_stride has 7; allowed: one value a convolution",
    ),
    "more than all heads": (
        {"students": [STUDENT | {"kinds": ["heads"], "sparsity": 0.5}]},
        "ssl[0].students[0].sparsity: 0.5; allowed: up to 0.333, when all that it may remove is gone",
    ),
    "recipe": (
        {"pretraining": {"iterations": [{"clusters": 5, "training": "pretrian"}]}},
        "ssl[0].pretraining.iterations[0].training: 'pretrian' is not in training (did you mean 'pretrain'?)",
    ),
    "layer of MFCCs": (
        {"pretraining": {"iterations": [{"clusters": 5, "training": "pretrain", "layer": 1}]}},
        "ssl[0].pretraining.iterations[0]: `layer` and `again`; allowed from the second iteration on",
    ),
    "type of student": ({"students": [STUDENT | {"type": "gate"}]}, "type 'gate' is unknown (did you mean 'gates'?)"),
    "no sparsity": ({"students": [STUDENT | {"sparsity": 0}]}, "ssl[0].students[0].sparsity: 0; allowed: > 0"),
    "all sparse": ({"students": [STUDENT | {"sparsity": 1}]}, "ssl[0].students[0].sparsity: 1; allowed: < 1"),
    "no second training": (
        {"students": [STUDENT | {"second": "distill"}]},
        "ssl[0].students[0].second: 'distill' is not in training (did you mean 'distil'?)",
    ),
    "convolutions of log-mel energies": (
        wavlm(front_end="mel", conv_kernel=[10] * 7),
        "ssl[0].encoder.conv_kernel: of convolutions; allowed with `front_end: waves`",
    ),
    "channels of log-mel energies": (
        wavlm(front_end="mel") | {"students": [STUDENT | {"conv_sparsity": 0.5}]},
        "ssl[0].students[0].conv_sparsity: 0.5 of a teacher without convolutions; allowed: 0",
    ),
    "same name": ({"students": [STUDENT, STUDENT]}, "ssl[0].students[1].name: 'pruned' is taken"),
    "reserved name": (
        {"students": [STUDENT | {"name": "teacher"}]},
        "ssl[0].students[0].name: 'teacher' is the name of something else",
    ),
    "order": (
        {"students": [STUDENT | {"distil": [4, 2]}]},
        "ssl[0].students[0].distil: [4, 2]; allowed: layers in asc",
    ),
    "too deep": ({"students": [STUDENT | {"distil": [5]}]}, "ssl[0].students[0].distil: 5; allowed: 1 to 4"),
    "strategy that compares layers": (
        {
            "students": [
                {"name": "s", "type": "layers", "training": "distil", "distil": [1], "layers": 1, "strategy": "svcca"}
            ]
        },
        "ssl[0].students[0].strategy: 'svcca' is not in the strategies that compare no layers; allowed: greedy",
    ),
    "kind of gate": ({"students": [STUDENT | {"kinds": ["head"]}]}, "'head' (did you mean 'heads'?)"),
    "task": ({"tasks": {"st": {}}}, "ssl[0].tasks.st: unknown key"),
    "option of a task": ({"tasks": {"ks": {"keyword": 4}}}, "ssl[0].tasks.ks.keyword: unknown key (did you mean"),
    "task without labels": (
        {"tasks": {"er": {}}},
        "ssl[0].tasks.er: the corpus has no labels of emotions; all prompts are read in one manner; allowed",
    ),
    "no root": ({"tasks": {"ks": {"source": "official", "test_root": "/x"}}}, "ssl[0].tasks.ks.root: null"),
    "language of a task": (
        {"languages": ["en"], "tasks": {"asr": {"languages": ["fr"]}}},
        "ssl[0].tasks.asr.languages: 'fr' is not in the languages of the entry",
    ),
}


@pytest.mark.parametrize(("change", "message"), SSL_MISTAKES.values(), ids=SSL_MISTAKES)
def test_a_mistake_about_self_supervised_encoders_is_one_line(change, message):
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, {"ssl": [UPSTREAM | change]}))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, str(caught.value)


@pytest.mark.parametrize(
    ("described", "student", "message"),
    [
        ('{"model_type": "wavlm", "num_hidden_layers": 3}', {}, "ssl[0].students[0].distil: 4; allowed: 1 to 3"),
        ('{"model_type": "bark"}', {}, "has a model of type 'bark'; allowed: wavlm, hubert, wav2vec2"),
        ('{"model_type": "whisper"}', {"conv_sparsity": 0.5}, "conv_sparsity: 0.5 of Whisper, whose convolutions stay"),
        ('{"model_type": "whisper", "encoder_layers": 3}', {}, "ssl[0].students[0].distil: 4; allowed: 1 to 3"),
        ('{"model_type": "whisper", "max_source_positions": 500}', {}, "ssl[0].crop_seconds: 15.6; allowed: up to 10"),
        ("{", {}, "config.json is not JSON"),
        ("[]", {}, "config.json is not JSON: it holds no object"),
        ('{"model_type": "wavlm", "layers": [1]}', {}, "ssl[0].students[0].type: 'gates' of a teacher that is pruned"),
        ('{"model_type": "hubert"}', {"kinds": ["int"], "sparsity": 0.7}, "ssl[0].students[0].sparsity: 0.7; allowed"),
    ],
)  # fmt: skip
def test_a_teacher_that_was_given_is_looked_at(described, student, message, tmp_path):
    (tmp_path / "config.json").write_text(described)
    entry = UPSTREAM | {"folder": str(tmp_path), "encoder": None, "pretraining": None, "students": [STUDENT | student]}
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, {"ssl": [entry]}))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, str(caught.value)


def test_tasks_take_the_languages_of_their_entry():
    tasks = {"asr": {}, "sid": {"languages": ["fr"]}}
    entry = UPSTREAM | {"languages": ["en", "fr"], "tasks": tasks}
    (found,) = complete(merged(DEFAULT, {"ssl": [entry]}))["ssl"]
    assert found["tasks"]["asr"]["languages"] == ["en", "fr"] and found["tasks"]["sid"]["languages"] == ["fr"]
    assert found["students"][0]["kinds"] == ["mha", "ffn", "qk", "vo", "int"]
    assert found["tasks"]["sid"]["training"]["batch"] == 64


def test_a_study_may_have_encoders_alone_but_not_nothing():
    alone = {"dense": [], "prune": [], "layers": [], "regularise": [], "heads": []}
    assert complete(merged(DEFAULT, alone))["dense"] == []
    with pytest.raises(SecateurError, match=r"dense: \[\]; allowed: one model at least, or an entry in `ssl`"):
        complete(merged(DEFAULT, alone | {"ssl": []}))


NEW = {"type": "ctc", "encoder": {"type": "transformer", "layers": 6, "dim": 32, "heads": 2, "ffn": 64}}


def test_a_study_laid_over_another_trains_what_that_takes_from_a_folder():
    models = {"ctc": {"pretrained": None, "training": "acoustic", **NEW}}
    assert "own" in complete(DEFAULT)["models"]["ctc"]
    with pytest.raises(SecateurError, match=r"exits\[0\]\.model: 'ctc' has no intermediate CTC"):
        complete(merged(DEFAULT, {"models": models}))
    config = complete(merged(DEFAULT, {"models": models, "exits": []}))
    assert "own" not in config["models"]["ctc"] and config["models"]["ctc"]["encoder"]["dim"] == 32
    with pytest.raises(SecateurError, match=r"models\.ctc"):
        complete(merged(DEFAULT, {"models": {"ctc": {"encoder": {"layers": 2}}}}))


def test_exits_are_where_a_model_has_heads():
    assert complete(DEFAULT)["exits"][0]["at"] == [2, 4]  # what the model of the zoo was trained with

    def said(**entry):
        with pytest.raises(SecateurError) as caught:
            complete(merged(DEFAULT, {"exits": [{"model": "ctc"} | entry]}))
        return str(caught.value)

    assert "exits[0].at: 6; allowed: 1 to 5, those with a head: 2, 4" in said(at=[2, 6])
    assert "exits[0].mean_layers: 1.5; allowed: 2, the first exit, to 6" in said(mean_layers=[1.5])
    assert "exits[0].searches: 'beam' is of type beam; allowed: greedy CTC search" in said(searches=["beam"])
    assert "exits[0].model: 'ctx' is not in models (did you mean 'ctc'?)" in said(model="ctx")


def test_time_is_measured_by_one_process():
    many = {
        "training": {"distil": {"processes": 2}},
        "ssl": [UPSTREAM | {"students": [STUDENT | {"target": "latency"}]}],
    }
    with pytest.raises(SecateurError, match=r"students\[0\]\.target: latency, which every process would measure anew"):
        complete(merged(DEFAULT, many))


def test_self_conditioning_needs_heads_and_stays():
    def said(**sections):
        with pytest.raises(SecateurError) as caught:
            complete(merged(DEFAULT, sections))
        return str(caught.value)

    inner = {"layers": [], "condition": True}
    text = "models.ctc-small.intermediate_ctc.condition: true; allowed without layers, which would be heard: false"
    assert text in said(models={"ctc-small": {"intermediate_ctc": inner}})
    late = {"name": "late", "training": "late", "intermediate_ctc": {"layers": [2], "condition": True}}
    text = "regularise[0].variants[0].intermediate_ctc.condition: true; allowed: false, as that needs weights"
    assert text in said(regularise=[{"model": "plain", "variants": [late]}])
    inner = {"layers": [2], "condition": True}
    model = {"plain": DEFAULT["models"]["ctc-small"] | {"pretrained": None, "intermediate_ctc": inner}}
    text = "regularise[0].model: 'plain' is self-conditioned, so its inner heads cannot come and go"
    assert text in said(models=model)
