import pytest

from secateur.pruning.study import ends
from secateur.study.graph import ancestors, steps_to_come
from secateur.study.runs import (
    Decoding,
    ModelRun,
    decodings,
    languages,
    lm_folder,
    model_runs,
    parents,
    shape,
    start,
    steps,
    steps_before,
)

CONFIG: dict = {
    "seeds": [1, 2],
    "corpora": {"mls": {"recipe": "mls", "languages": ["en", "fr", "nl"]}},
    "dense": [{"corpus": "mls", "model": "big", "scopes": ["all", "each", "fr-nl"]}],
    "prune": [],
    "layers": [],
    "regularise": [],
    "heads": [],
    "ssl": [],
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
    assert Decoding(run, "test", "fr", "beam").folder == run.folder + "/decode/beam"
    assert ModelRun("mls", "big", "fr", 3, method="imp", sparsity=0.0625).folder.endswith("s062/seed3")
    assert lm_folder("mls", "char-lm", 2) == "lm/mls/char-lm/seed2"


def test_the_shape_of_a_study_decides_its_models():
    config = CONFIG | {"pruning": {"p": {"levels": [0.5], "training": "x"}}, "searches": {"greedy": {}}}
    assert list(model_runs(shape(config))) == list(model_runs(config))
    assert shape(config) == shape(config | {"decode": {}, "searches": {}})


PRUNED = CONFIG | {
    "models": {"big": {}},
    "seeds": [1],
    "pruning": {"p": {"levels": [0.2, 0.5, 0.7], "training": "short", "steps_per": "all", "settle": 0.4}},
    "prune": [
        {
            "corpus": "mls",
            "model": "big",
            "schedule": "p",
            "variant": None,
            "methods": ["imp", "lth", "lap", "lth-adaptive", "random", "longer"],
            "pathways": [
                {"languages": ["nl", "fr"], "method": "dynamic", "start": [["lth", 0.5], ["lap", 0.2]]},
                {"languages": ["en", "fr", "nl"], "method": "pathways", "start": [["imp", 0.7]]},
            ],
            "searches": ["greedy"],
        }
    ],
}


TRAINED = PRUNED | {
    "models": {"big": {"training": "long"}},
    "training": {"long": {"steps": 100}, "short": {"steps": 7}},
}


def made_from(scope, method, sparsity):
    return parents(PRUNED, ModelRun("mls", "big", scope, 1, method, sparsity))


def folders(*runs):
    return [run.folder.removeprefix("models/mls/big/").removesuffix("/seed1") for run in runs]


def test_a_level_is_made_from_the_one_before():
    imp = made_from("fr", "imp", 0.5)
    assert folders(imp.start, imp.ranked) == ["fr/imp/s200", "fr/imp/s200"]
    assert imp.nested
    first = made_from("fr", "imp", 0.2)
    assert folders(first.start, first.ranked) == ["fr/finetune/s000", "fr/finetune/s000"]
    finetune = made_from("fr", "finetune", 0.0)
    assert folders(finetune.start) == ["all/dense/s000"]


def test_lth_is_rewound_to_the_dense_weights():
    lth = made_from("fr", "lth", 0.7)
    assert folders(lth.start, lth.ranked) == ["all/dense/s000", "fr/lth/s500"]
    adaptive = made_from("fr", "lth-adaptive", 0.7)
    assert folders(adaptive.start, adaptive.ranked) == ["all/dense/s000", "fr/lth-adaptive/s500"]
    assert lth.nested
    assert not adaptive.nested


def test_controls():
    assert folders(made_from("fr", "random", 0.7).start) == ["fr/finetune/s000"]
    assert made_from("fr", "longer", 0.0).levels == 4
    assert made_from("all", "dense", 0.0) is None


def test_pathways_take_their_masks_from_each_language_or_from_all():
    dynamic = made_from("fr-nl", "dynamic-lth-s500", 0.7)
    assert folders(dynamic.start) == ["all/dense/s000"]
    assert dict(zip(dynamic.masks, folders(*dynamic.masks.values()), strict=True)) == {
        "fr": "fr/lth/s500", "nl": "nl/lth/s500"
    }  # fmt: skip
    lap = made_from("fr-nl", "dynamic-lap-s200", 0.7)
    assert folders(*lap.masks.values()) == ["all/lap/s200"] * 2


def test_all_pathways_of_the_same_languages_are_trained_equally_long():
    """Dynamic ones from LAP-20 need three levels: the others stay at the target, or under their masks, for the rest."""
    fixed = {"languages": ["fr", "nl"], "method": "pathways", "start": [["lth", 0.7]]}
    entry = PRUNED["prune"][0] | {"pathways": [fixed, *PRUNED["prune"][0]["pathways"]]}
    found = [
        parents(PRUNED | {"prune": [entry]}, ModelRun("mls", "big", scope, 1, method, 0.7))
        for scope, method in (
            ("fr-nl", "dynamic-lap-s200"),
            ("fr-nl", "dynamic-lth-s500"),
            ("fr-nl", "pathways-lth-s700"),
            ("all", "pathways-imp-s700"),
        )
    ]
    assert [parents.levels for parents in found] == [3, 3, 3, 1]
    assert [parents.sparsities for parents in found] == [[0.2, 0.5, 0.7], [0.5, 0.7, 0.7], [], []]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_level_has_t_steps_of_each_language(count):
    """T = 7, whether one language, two or four share a model; `all` divides it among them."""
    codes = ["en", "fr", "it", "nl"][:count]
    corpora = {"mls": {**CONFIG["corpora"]["mls"], "languages": codes}}
    pathways = [{"languages": codes, "method": name, "start": [["lth", 0.5]]} for name in ("dynamic", "pathways")]
    entry = TRAINED["prune"][0] | {"pathways": pathways if count > 1 else []}
    for per, times in (("language", count), ("all", 1)):
        schedule = TRAINED["pruning"]["p"] | {"steps_per": per}
        config = TRAINED | {"corpora": corpora, "prune": [entry], "pruning": {"p": schedule}}

        def of(scope, method, sparsity, config=config):
            return steps(config, ModelRun("mls", "big", scope, 1, method, sparsity))

        assert of("en", "imp", 0.7) == of("en", "lth-adaptive", 0.2) == 7
        assert of("en", "longer", 0.0) == 4 * 7
        assert of("all", "lap", 0.7) == of("all", "finetune", 0.0) == 7 * times
        if count > 1:
            assert of("all", "dynamic-lth-s500", 0.7) == of("all", "pathways-lth-s500", 0.5) == 2 * 7 * times


def test_only_what_ends_a_schedule_settles():
    """Not levels on the way, nor what the first of them begins with."""
    on_the_way = [("fr", "imp", 0.5), ("fr", "finetune", 0.0), ("all", "lap", 0.2)]
    last = [("fr", "imp", 0.7), ("fr", "longer", 0.0), ("fr", "random", 0.7)]
    last += [("all", "pathways-imp-s500", 0.5), ("fr-nl", "dynamic-lth-s500", 0.7)]
    for wanted, group in ((False, on_the_way), (True, last)):
        for scope, method, sparsity in group:
            assert ends(PRUNED, ModelRun("mls", "big", scope, 1, method, sparsity)) == wanted, method


def test_a_variant_is_made_from_the_variant_s_models_and_the_dense_one():
    schedule = {"levels": [0.3, 0.7], "training": "retrain", "steps_per": "all"}
    config = PRUNED | {
        "pruning": PRUNED["pruning"] | {"steeper": schedule},
        "prune": [*PRUNED["prune"], PRUNED["prune"][0] | {"schedule": "steeper", "variant": "steep"}],
    }
    runs = [run for run in model_runs(config) if run.method.endswith("+steep")]
    assert {run.sparsity for run in runs if run.kind == "imp"} == {0.3, 0.7}
    made = parents(config, ModelRun("mls", "big", "fr", 1, "lth+steep", 0.7))
    assert folders(made.start, made.ranked) == ["all/dense/s000", "fr/lth+steep/s300"]
    first = parents(config, ModelRun("mls", "big", "fr", 1, "imp+steep", 0.3))
    assert folders(first.start) == ["fr/finetune+steep/s000"]
    dynamic = parents(config, ModelRun("mls", "big", "fr-nl", 1, "dynamic-lth-s300+steep", 0.7))
    assert folders(dynamic.start, *dynamic.masks.values()) == [
        "all/dense/s000", "fr/lth+steep/s300", "nl/lth+steep/s300"
    ]  # fmt: skip


def test_steps_behind_what_a_model_is_made_from():

    def before(scope, method, sparsity):
        return steps_before(TRAINED, ModelRun("mls", "big", scope, 1, method, sparsity))

    assert before("all", "dense", 0.0) == 0
    assert before("fr", "finetune", 0.0) == before("fr", "longer", 0.0) == 100
    assert [before("fr", "imp", level) for level in (0.2, 0.5, 0.7)] == [107, 114, 121]
    assert before("fr", "lth", 0.7) == 121, "rewound or not, what was ranked was trained"
    assert before("all", "pathways-imp-s700", 0.7) == 128
    assert before("fr-nl", "dynamic-lth-s500", 0.7) == 121


def test_what_has_the_most_steps_to_come():
    found = steps_to_come(TRAINED)

    def to_come(scope, method, sparsity):
        return found[ModelRun("mls", "big", scope, 1, method, sparsity).folder]

    # dense → finetune → imp 20 % → 50 % → 70 % → pathways; `longer` has four levels' steps, dynamic pathways three.
    assert [to_come("en", "imp", level) for level in (0.2, 0.5, 0.7)] == [28, 21, 14]
    assert to_come("fr", "finetune", 0.0) == 7 + 14 + 21 and to_come("all", "dense", 0.0) == 100 + 42
    assert to_come("en", "dense", 0.0) == 100, "no model is made from a monolingual one"
    assert to_come("fr", "longer", 0.0) == 28 and to_come("fr-nl", "dynamic-lth-s500", 0.7) == 21
    assert to_come("fr", "lth", 0.5) == 7 + 21, "dynamic pathways start from the masks of a level"


def test_all_that_a_model_is_made_from():
    run = ModelRun("mls", "big", "fr-nl", 1, "dynamic-lth-s500", 0.7)
    assert sorted(folders(*ancestors(PRUNED, run).values())) == [
        "all/dense/s000", "fr-nl/dynamic-lth-s500/s700", "fr/finetune/s000", "fr/lth/s200", "fr/lth/s500",
        "nl/finetune/s000", "nl/lth/s200", "nl/lth/s500",
    ]  # fmt: skip


def test_every_pruned_run_is_enumerated_once_and_decoded_in_its_languages():
    runs = [run for run in model_runs(PRUNED) if run.method != "dense"]
    assert len(runs) == len(set(runs)) == 3 * 3 + 3 * 3 + 3 + 3 * 3 + 3 + 3 + 2 + 1
    assert {run.initialization for run in runs} == {"dense", "LTH-50%", "LAP-20%", "IMP-70%"}
    assert {run.scope for run in runs if run.method.startswith("dynamic")} == {"fr-nl"}
    assert {run.scope for run in runs if run.method == "pathways-imp-s700"} == {"all"}
    pruned = [decoding for decoding in decodings(PRUNED) if decoding.run.method == "dynamic-lth-s500"]
    assert [(decoding.language, decoding.search) for decoding in pruned] == [("fr", "greedy"), ("nl", "greedy")]


def test_a_model_that_starts_from_another_has_its_steps_behind_it():
    models = {"a": {"training": "long"}, "b": {"training": "short", "start": "a"}}
    config = CONFIG | {
        "models": models,
        "training": {"long": {"steps": 100}, "short": {"steps": 10}},
        "dense": [{"corpus": "c", "model": "b", "scopes": ["all"], "searches": None}],
    }
    run = ModelRun("c", "b", "all", 2)
    assert start(config, run) == ModelRun("c", "a", "all", 2)
    assert start(config, ModelRun("c", "a", "all", 2)) is None
    assert steps_before(config, run) == 100
    assert set(ancestors(config, run)) == {run.folder, ModelRun("c", "a", "all", 2).folder}
    assert max(steps_to_come(config).values()) == 110
