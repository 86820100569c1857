"""What the section `heads` of a study may hold."""

import copy

import pytest
from studies import DEFAULT, merged, refusal

from secateur.config.complete import complete


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
    "no such training": (
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
    said = refusal({"heads": heads})
    assert message in said and len(said.splitlines()) == 1, said
