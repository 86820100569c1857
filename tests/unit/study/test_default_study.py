"""What the default study shows of compositions, early exit and other conditions."""

from studies import DEFAULT

from secateur.compose import study as compose
from secateur.config.complete import complete
from secateur.exits import study as exits
from secateur.overview.study import all_decodings
from secateur.study.runs import asked, splits

CONFIG = complete(DEFAULT)


def decoded():
    """(method, folder, split) of everything that the study decodes."""
    return [(one.run.method, one.folder, one.split) for one in all_decodings(CONFIG)]


def test_it_has_a_composition_of_two_sorts_of_removal():
    found = list(compose.chains(CONFIG))
    sorts = [{compose.kind_of(step) for step in chain} - {compose.RECOVER} for _, chain, _ in found]
    assert sorts and max(map(len, sorts)) > 1
    (_, _, run), *_ = found
    assert {split for method, _, split in decoded() if method == run.method} >= {"dev", "test"}


def test_it_leaves_a_model_early_on_dev_and_test():
    ((entry, run),) = exits.runs(CONFIG)
    assert entry["at"] and entry["mean_layers"]
    found = {split for _, folder, split in decoded() if folder.startswith(f"{run.folder}/exits/")}
    assert found >= {"dev", "test"}


def test_it_has_one_other_condition_which_dense_and_pruned_models_are_decoded_under():
    (name,) = CONFIG["conditions"]
    assert name in splits(CONFIG, "asterisk", narrow=True)
    entry = CONFIG["conditions"][name]
    assert all(asked(CONFIG, name, language, "greedy") for language in entry["languages"])
    methods = {method for method, _, split in decoded() if split == name}
    assert "dense" in methods and len(methods) > 3
