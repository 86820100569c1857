from secateur.study import Decoding, ModelRun, decodings, languages, lm_folder, model_runs, shape

CONFIG = {
    "seeds": [1, 2],
    "corpora": {"mls": {"languages": ["en", "fr", "nl"]}},
    "dense": [{"corpus": "mls", "model": "big", "scopes": ["all", "each", "fr-nl"]}],
    "prune": [],
    "decode": {"splits": ["test"], "searches": ["greedy", "beam"]},
}


def test_runs_and_their_folders():
    folders = [run.folder for run in model_runs(CONFIG)]
    scopes = ["all", "en", "fr", "nl", "fr-nl"]
    assert folders == [f"models/mls/big/{scope}/dense/s000/seed{seed}" for scope in scopes for seed in (1, 2)]


def test_a_model_is_decoded_in_the_languages_that_it_was_trained_on():
    found = {(decoding.run.scope, decoding.language) for decoding in decodings(CONFIG)}
    assert found == {
        *(("all", language) for language in ("en", "fr", "nl")),
        ("en", "en"), ("fr", "fr"), ("nl", "nl"), ("fr-nl", "fr"), ("fr-nl", "nl"),
    }  # fmt: skip
    assert len(list(decodings(CONFIG))) == len(found) * 2 * 2
    assert languages(CONFIG, "mls", "fr-nl") == ["fr", "nl"]


def test_sparsity_is_three_digits_of_per_mille_in_the_path():
    run = ModelRun("mls", "big", "fr", 3, method="imp", sparsity=0.7)
    assert run.folder == "models/mls/big/fr/imp/s700/seed3"
    assert Decoding(run, "test", "fr", "beam").folder == run.folder + "/decode/test/fr/beam"
    assert ModelRun("mls", "big", "fr", 3, method="imp", sparsity=0.0625).folder.endswith("s062/seed3")
    assert lm_folder("mls", "char-lm", 2) == "lm/mls/char-lm/seed2"


def test_the_shape_of_a_study_decides_its_models():
    config = CONFIG | {"pruning": {"p": {"levels": [0.5], "training": "x"}}, "searches": {"greedy": {}}}
    assert list(model_runs(shape(config))) == list(model_runs(config))
    assert shape(config) == shape(config | {"decode": {}, "searches": {}})
