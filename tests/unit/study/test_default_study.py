"""What the default study shows of compositions, early exit and other conditions."""

from pathlib import Path

from studies import DEFAULT

from secateur.compose import study as compose
from secateur.config.complete import complete
from secateur.core.files import read_tsv
from secateur.exits import study as exits
from secateur.overview.study import all_decodings
from secateur.study.runs import asked, splits

ROOT = Path(__file__).resolve().parents[3]
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


def card(folder):
    """The interval of every word error rate on the card of a model of the zoo, by split, search and language."""
    lines = (ROOT / folder / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith(("| test ", "| dev "))
    ]
    found = {}
    for split, search, language, rate, _ in rows:
        low, high = rate.partition("(")[2].rstrip(")").split("–")
        found[split, search, language] = float(low), float(high)
    return found


def test_its_dense_rows_have_the_error_rates_of_the_zoos_cards():
    """What the repository keeps of the last run; a search may have another beam there than on the card."""
    kept, compared = read_tsv(ROOT / "docs/evidence/default/wer.tsv"), set()
    for name, model in DEFAULT["models"].items():
        folder = model.get("pretrained") or ""
        known = card(folder) if folder.startswith("pretrained/") else {}
        for row in (row for row in kept if (row["model"], row["method"]) == (name, "dense")):
            if ends := known.get((row["split"], row["search"], row["language"])):
                assert ends[0] <= float(row["wer"]) <= ends[1], (name, row["search"], row["language"], row["wer"])
                compared.add((name, row["search"]))
    assert compared >= {("ctc", "greedy"), ("ctc", "lexicon"), ("plain", "greedy"), ("hybrid", "greedy")}
