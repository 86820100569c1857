"""Tables and figures of layer pruning on demand, against numbers computed by hand."""

from pathlib import Path

import numpy as np
import pytest
from decodings import write_decoding
from timings import write_times

from secateur.core.files import read_json, write_json, write_tsv
from secateur.decoding.timing import RATIO
from secateur.layers import plots
from secateur.layers import study as layers
from secateur.layers.evidence import control_of, rivals, trained_alone
from secateur.layers.study import late_run, trained_runs
from secateur.layers.tables import shown_pairs
from secateur.layers.verdicts import one_thing
from secateur.reporting.compared import Compared, margin_of, no_worse
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.results import Results
from secateur.reporting.table import measured, read_tables
from secateur.statistics.estimates import TestSet, difference, error_rate, relative_change
from secateur.study.runs import Decoding

MODEL = {
    "type": "ctc",
    "encoder": {"layers": 3},
    "training": "acoustic",
    "input": "stack",
    "stack": 3,
    "stochastic_depth": 0.1,
}
INNER = {"layers": [2], "weight": 0.5}
STUDY = {
    "seeds": [0],
    "models": {
        "ctc": MODEL | {"intermediate_ctc": INNER},
        "ctc-depth2": MODEL | {"encoder": {"layers": 2}, "intermediate_ctc": INNER},
        "plain": MODEL | {"intermediate_ctc": {"layers": [], "weight": 0.3}, "stochastic_depth": 0.0},
    },
    "training": {"acoustic": {"steps": 400}, "late": {"steps": 40, "learning_rate": 0.001, "warmup": 2}},
    "dense": [
        {"corpus": "talk_show", "model": name, "scopes": ["all"], "searches": ["greedy"]}
        for name in ("ctc", "ctc-depth2", "plain")
    ],
    "layers": [
        {
            "corpus": "talk_show",
            "model": "ctc",
            "of": "encoder",
            "variant": None,
            "strategies": ["greedy", "truncate"],
            "depths": [2, 1],
            "trained": [2],
            "searches": ["greedy"],
            "rtf_budgets": [0.05, 0.001],
        }
    ],
    "regularise": [
        {
            "corpus": "talk_show",
            "model": "plain",
            "scratch": "ctc",
            "searches": ["greedy"],
            "variants": [
                {"name": name, "training": "late", "intermediate_ctc": INNER, "stochastic_depth": 0.1, "rise": rise}
                for name, rise in (("both", 5), ("slower", 9))
            ]
            + [
                {
                    "name": "control",
                    "training": "late",
                    "intermediate_ctc": {"layers": [], "weight": 0.3},
                    "stochastic_depth": 0.0,
                    "rise": 0,
                }
            ],
        }
    ],
}
ORDERS = {"greedy": {"2": [1, 3], "1": [3]}, "truncate": {"2": [1, 2], "1": [1]}}
# Errors in two utterances of 6 and 4 words.
ERRORS = {"1,3": (0, 1), "3": (5, 4), "1,2": (3, 1), "1": (6, 4)}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory, write_study, write_heard) -> tuple[dict, Path, dict]:
    """Configuration, folder and tables of a study that prunes layers."""
    base, build = write_study
    config = base | STUDY
    root = build(tmp_path_factory.mktemp("layers") / "tiny", config)
    ((_, run),) = layers.runs(config)
    for strategy, depths in ORDERS.items():
        found = {depth: {"layers": kept} for depth, kept in depths.items()}
        cost = {"layer_forwards": {"greedy": 12, "truncate": 0}[strategy], "seconds": 1.5}
        write_json(root / layers.order_file(run, strategy), {"depths": found} | cost)
    for decoding in layers.decodings(config):
        folder, more = root / decoding.folder, decoding.language == "fr"
        found, scores = {}, {}
        for kept, errors in ERRORS.items():
            errors = [min(count + more, words) for count, words in zip(errors, (6, 4), strict=True)]
            found[kept] = tuple(errors)
            rate = 10.0 * sum(errors)
            scores[kept] = {"wer": rate, "wer_low": rate, "wer_high": rate, "cer": rate / 2}
        write_decoding(folder, decoding.language, scores)
        write_heard(root, decoding, found)
        write_json(folder / "run.json", read_json(root / run.folder / "run.json"))
    sizes = read_json(root / "sizes.json")
    cost = {"parameters": 500, "nonzero": 400, "bytes": 2000, "macs_per_second": 1000, "peak_memory": 800}
    sizes[run.folder] |= {"sub_models": dict.fromkeys(ERRORS, cost)}
    write_json(root / "sizes.json", sizes)
    write_times(root, config, seconds, [10.0], depths={"ctc": 3, "ctc-depth2": 2, "plain": 3})
    for corpus, rate, seed in layers.comparisons(config):
        names = list(layers.compared(config, corpus, rate, seed))
        write_tsv(
            root / layers.similarity_folder(corpus, rate, seed) / "similarity.tsv",
            ("measure", "model_a", "layer_a", "model_b", "layer_b", "value"),
            [
                {
                    "measure": measure,
                    "model_a": a,
                    "layer_a": i,
                    "model_b": b,
                    "layer_b": j,
                    "value": 1 / (1 + abs(i - j)),
                }
                for measure in ("svcca", "cka")
                for place, a in enumerate(names)
                for b in names[place:]
                for i in range(4)
                for j in range(i if a == b else 0, 4)
            ],
        )
    for variant in ("both", "slower", "control"):
        late = root / late_run(config["regularise"][0], variant, 0).folder / "run.json"
        write_json(late, read_json(late) | {"initial_loss": 2.0, "regularised_loss": 60.0})
    write_tables(config, root)
    write_figures(root / "tables", root / "figures")
    return config, root, read_tables(root / "tables")


def seconds(run, search, part):
    """Of an utterance of ten seconds."""
    speeds = {("ctc", ""): 0.9, ("ctc", "depth 2"): 0.6, ("ctc", "depth 1"): 0.3, ("ctc-depth2", ""): 0.5}
    return [(speeds.get((run.model, part), 1.0), 0.0, 0.0)]


def chosen(rows, **axes):
    return [row for row in rows if all(row[axis] == value for axis, value in axes.items())]


def test_every_sub_model_stands_beside_the_whole_model_and_the_one_trained_alone(pruned):
    _, _, tables = pruned
    rows = chosen(tables["layers"], language="en")
    assert [(row["strategy"], row["depth"], row["layers_kept"], float(row["wer"])) for row in rows] == [
        ("whole", "3", "1,2,3", 40.0),  # of the miniature study: 3 errors and 1 in 10 words
        ("greedy", "2", "1,3", 10.0), ("greedy", "1", "3", 90.0),
        ("truncate", "2", "1,2", 40.0), ("truncate", "1", "1", 100.0),
        ("trained", "2", "", 40.0),
    ]  # fmt: skip
    assert [row["rtf"] for row in rows] == ["0.09", "0.06", "0.03", "0.06", "0.03", "0.05"]
    costs = {row["strategy"]: row["layer_forwards"] for row in rows}
    assert costs == {"whole": "", "greedy": "12", "truncate": "0", "trained": ""}
    assert {row["same"] for row in rows if row["rtf"]} == {"1.0"}  # of the A/A test
    (average,) = chosen(tables["layers"], language="avg", strategy="greedy", depth="2")
    assert float(average["wer"]) == pytest.approx((10 + 30) / 2)


def test_a_system_is_what_a_strategy_keeps_of_a_depth(pruned):
    """With other seeds it may keep other layers, so it is not named by these."""
    _, _, tables = pruned
    rows = chosen(tables["systems"], kind="fewer layers")
    assert {row["system"]: (row["sub_model"], float(row["wer"])) for row in rows} == {
        "ctc, 2 layers by greedy": ("1,3", 20.0), "ctc, 1 layers by greedy": ("3", 95.0),
        "ctc, 2 layers by truncate": ("1,2", 50.0), "ctc, 1 layers by truncate": ("1", 100.0),
    }  # fmt: skip


def test_the_verdict_compares_with_the_model_trained_alone_at_that_depth(pruned):
    _, _, tables = pruned
    rows = chosen(tables["layer_comparisons"], question="depth")
    judged = {(row["strategy"], row["language"]): row for row in rows}
    assert set(judged) == {(name, code) for name in ORDERS for code in ("en", "fr", "avg")}
    # en: 0 and 1 errors of 10 words against 3 and 1; fr: 1 and 2 against 4 and 1.
    assert [float(judged["greedy", code]["difference"]) for code in ("en", "fr", "avg")] == [-30.0, -20.0, -25.0]
    assert float(judged["greedy", "avg"]["relative"]) == pytest.approx(-100 * 25 / 45)
    # The same errors as the model trained alone: two utterances cannot tell a point.
    row = judged["truncate", "en"]
    assert (float(row["difference"]), row["verdict"], row["margin"]) == (0.0, "undecided", "1 percentage points")
    assert float(row["detectable"]) > 1 and (row["a"], row["b"]) == ("ctc, truncate, 2 layers", "ctc-depth2")
    assert len(row["source"].split()) == 2


def test_a_verdict_is_over_seeds_and_its_margin_is_a_key():
    def measured(change: int) -> Compared:
        """With 200 utterances of 10 words, 4 of them wrong; every fiftieth has `change` more errors."""
        test = TestSet([10] * 200)
        base = np.array([[4] * 200] * 3)
        mine = base + change * (np.arange(200) % 50 == 0)
        numbers = (error_rate(mine, test), error_rate(base, test), difference(mine, base, test))
        return Compared(*numbers, relative_change(mine, base, test), numbers, False, "")

    def verdict(change: int, **keys) -> str:
        return no_worse([measured(change)], margin_of({"claims": keys}), 0.05)[0]

    assert [verdict(change) for change in (0, 1)] == ["supported", "supported"]  # 0.2 points, of 40 %
    assert verdict(1, margin_unit="relative", margin=2.0) == "supported"  # 0.5 % of the reference
    assert verdict(1, margin=0.3) == "undecided"
    # Clear by itself, but not as one of many (Holm), nor with a small share of the level.
    margin = margin_of({"claims": {"margin": 0.9}})
    assert no_worse([measured(2)], margin, 0.05) == ["supported"]
    assert no_worse([measured(2)] * 50, margin, 0.05) == ["undecided"] * 50
    assert no_worse([measured(2)], margin, 0.05, share=0.02) == ["undecided"]


def test_a_budget_is_answered_by_the_greatest_depth_that_fits(pruned):
    _, _, tables = pruned
    answers = {(row["measured_model"], row["depth"]): row["budgets"] for row in tables["depth_rtf"]}
    assert answers == {
        ("ctc", "3"): "", ("ctc", "2"): "", ("ctc", "1"): "0.05", ("ctc-depth2", "2"): "", ("A/A", "3"): ""
    }  # fmt: skip
    ratios = {row["measured_model"]: [float(row[name]) for name in RATIO] for row in tables["depth_rtf"]}
    assert ratios["A/A"] == pytest.approx([1.0] * 3) and ratios["ctc-depth2"] == pytest.approx([5 / 9] * 3)


def test_late_regularisers_show_the_jump(pruned):
    _, _, tables = pruned
    rows = {row["variant"]: row for row in tables["finetune"] if row["language"] == "avg"}
    assert list(rows) == ["dense", "both", "slower", "control", "from scratch"]
    compared = chosen(tables["layer_comparisons"], question="late", language="avg")
    assert [(row["a"], row["b"]) for row in compared] == [
        ("both", "control"), ("slower", "control"), ("control", "dense")
    ]  # fmt: skip
    assert {float(row["difference"]) for row in compared} == {0.0}  # the same errors
    (one,) = chosen(tables["layer_comparisons"], question="one thing", language="avg")
    assert (one["a"], one["b"]) == ("slower", "both")  # they differ in how long the weight rises
    both = rows["both"]
    # Dev losses of the miniature study are 500 over the step, at every twentieth step up to 400.
    losses = [float(both[name]) for name in ("initial_loss", "regularised_loss", "peak_loss", "final_loss")]
    assert losses == pytest.approx([2.0, 60.0, 25.0, 1.25])
    assert (both["regulariser"], both["intermediate_layers"]) == ("both", "2")
    assert both["schedule"] == "rate 0.001 after 2 steps, weight rises for 5 steps"
    assert (rows["dense"]["regulariser"], rows["from scratch"]["regulariser"]) == ("none", "both")
    assert "models/talk_show/ctc/" in rows["from scratch"]["source"]


def test_the_tables_and_figures_are_on_the_page(pruned):
    config, root, tables = pruned
    write_report(config, root / "tables", root / "figures", root / "report" / "index.html", root)
    page = (root / "report" / "index.html").read_text()
    for text in ("Layers on demand", "Does a sub-model keep the accuracy", "Real-time factor by depth", "come late"):
        assert text in page
        heatmaps = plots.similarity(tables)
    # Five models with themselves, and the first with the four others; a colour bar.
    assert len(heatmaps.axes) == 5 + 4 + 1
    assert heatmaps.axes[0].collections[0].get_array().max() == 1.0
    left, right = plots.depth(tables).axes
    assert left.get_xlabel() == right.get_xlabel() == "Layers kept"
    (line,) = [line for line in right.lines if len(line.get_xdata()) == 3]
    assert list(line.get_ydata()) == pytest.approx([0.03, 0.06, 0.09])
    left, right = plots.late(tables).axes
    losses, *_, before, jumps = right.lines
    assert list(losses.get_xdata()[:2]) == [0, 20] and list(losses.get_ydata()[:2]) == [2.0, 25.0]
    assert set(before.get_ydata()) == {2.0} and list(jumps.get_ydata()) == [60.0, 60.0]
    assert len(left.lines) == 3 and left.lines[0].get_xdata()[0] == 20


def test_exactly_the_declared_files_are_read(pruned, files_read):
    config, root, _ = pruned
    assert files_read(config, root) == set(measured(config))


def test_every_variant_has_the_control_of_its_own_training():
    """Of a 2 x 2 of rate and rise, with a control at each rate; pairs that differ in both say nothing of either."""
    nothing = {"layers": [], "weight": 0.3}

    def variant(name, training, rise=0, inner=INNER, flat=False, depth=0.1):
        facts = {"training": training, "rise": rise, "flat": flat, "stochastic_depth": depth}
        return {"name": name, "intermediate_ctc": inner} | facts

    controls = [variant(f"control-{rate}", rate, inner=nothing, depth=0.0) for rate in ("fast", "mild")]
    square = [variant(f"{rate}-{rise}", rate, rise) for rate in ("fast", "mild") for rise in (0, 9)]
    drop = [variant(name, "fast", inner=nothing, flat=name == "flat") for name in ("ramp", "flat")]
    entry = {"variants": [*controls, *square, *drop]}
    assert [control_of(entry, one)["name"] for one in square] == ["control-fast"] * 2 + ["control-mild"] * 2
    assert control_of(entry)["name"] == "control-fast"
    assert list(one_thing(entry)) == [
        ("control-mild", "control-fast"), ("fast-9", "fast-0"), ("mild-0", "fast-0"), ("mild-9", "fast-9"),
        ("mild-9", "mild-0"), ("flat", "ramp"),
    ]  # fmt: skip


def test_of_rivals_the_one_with_fewer_errors_on_dev_counts(tmp_path, write_study, write_heard):
    """On dev, that with regularisers has 2 errors and the other 4, on test it is the other way round."""
    base, build = write_study
    dense = {"corpus": "talk_show", "scopes": ["all"], "searches": ["greedy"]}
    models = STUDY["models"] | {"ctc-depth2-regularised": STUDY["models"]["ctc"]}
    config = base | STUDY | {"models": models, "decode": {"splits": ["test", "dev"], "searches": ["greedy"]}}
    config["dense"] = [dense | {"model": name} for name in models]
    root = build(tmp_path / "tiny", config)
    (entry,) = config["layers"]
    for run in trained_runs(config, entry, 2, 0):
        for split in ("test", "dev"):
            for code in ("en", "fr"):
                wrong = 2 if run.model.endswith("-regularised") == (split == "dev") else 4
                write_heard(root, Decoding(run, split, code, "greedy"), {"": (wrong, 0)})
    assert [run.model for run in rivals(Results(config, root), entry, 2)] == ["ctc-depth2-regularised"]
    (found,) = trained_alone(Results(config, root), entry, 2, "greedy", "test")
    assert found.decodings["en"].run.model == "ctc-depth2-regularised"
    config["models"].pop("ctc-depth2-regularised")  # a rival without a choice is what there is
    assert [run.model for run in rivals(Results(config, root), entry, 2)] == ["ctc-depth2"]


def test_of_similarities_those_of_the_figure_are_kept():
    kept = [
        {"corpus": "c", "seed": seed, "measure": measure, "model_a": a, "model_b": b}
        for seed in ("1", "2")
        for measure in ("svcca", "cka")
        for a, b in (("one", "one"), ("one", "two"), ("one", "three"), ("two", "two"), ("two", "three"))
    ]
    found = [(row["seed"], row["measure"], row["model_a"], row["model_b"]) for row in shown_pairs(kept)]
    assert found == [("1", "svcca", "one", other) for other in ("one", "two", "three")] + [("1", "svcca", "two", "two")]
    assert shown_pairs([]) == []
