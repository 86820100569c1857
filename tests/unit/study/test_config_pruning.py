"""What the sections `pruning` and `prune` of a study may hold."""

import pytest
from studies import DEFAULT, merged, refusal

from secateur.config.complete import complete
from secateur.core.errors import SecateurError
from secateur.pruning.levels import spelled_out
from secateur.study.runs import decodings

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
    "another curve": (
        {"levels": {"type": "square", "target": 0.5, "count": 3}},
        "pruning.p.levels.type: 'square'; allowed: cubic",
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
    assert message in refusal(schedule(**change) | dynamic)


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
    assert message in refusal(PRUNE | {"prune": [PATHWAYS | change]})


def test_a_second_entry_for_a_model_is_a_variant():
    with pytest.raises(SecateurError, match=r"prune\[1\]: a second entry for model 'ctc' of 'asterisk'; allowed: one"):
        complete(merged(DEFAULT, PRUNE | {"prune": [PATHWAYS, PATHWAYS]}))
    config = complete(merged(DEFAULT, PRUNE | {"prune": [PATHWAYS, PATHWAYS | {"variant": "other"}]}))
    methods = {decoding.run.method for decoding in decodings(config)}
    assert methods >= {"pathways-lth-s700", "pathways-lth-s700+other"}
