"""What pruning did, as tables and figures, against numbers computed by hand."""

import shutil
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from secateur.core.files import read_json, write_json, write_text, write_tsv
from secateur.pruning import plots, plots_masks
from secateur.pruning.plots import _joined
from secateur.pruning.plots_masks import _parsed
from secateur.reporting.drawing import Tables, write_figure
from secateur.reporting.figure import figures as all_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.table import measured
from secateur.study.runs import model_runs

PRUNING = {
    "pruning": {"progressive": {"levels": [0.5, 0.7], "training": "retrain", "adapt_every": 50, "steps_per": "all"}},
    "training": {"retrain": {"steps": 100}, "acoustic": {"steps": 400}},
    "seeds": [0],
    "layers": [],
    "regularise": [],
    "heads": [],
    "ssl": [],
    "prune": [
        {
            "corpus": "talk_show",
            "model": "ctc",
            "variant": None,
            "reference": "ctc",
            "schedule": "progressive",
            "searches": ["greedy"],
            "methods": ["lap", "lth-adaptive", "longer"],
            "pathways": [
                {"languages": ["en", "fr"], "method": "pathways", "start": [["lth", 0.7]]},
                {"languages": ["en", "fr"], "method": "dynamic", "start": [["lap", 0.5]]},
            ],
        }
    ],
}
BYTES, PRUNABLE = 10_000, 1000
AXES = {"corpus": "talk_show", "model": "ctc", "seed": "0", "split": "test", "search": "greedy", "lm": "none"}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory, write_study) -> tuple[dict, Path, dict]:
    """Configuration, folder and tables of a study with pruned models."""
    from_dense, build = write_study
    config = from_dense | PRUNING
    root = build(tmp_path_factory.mktemp("pruned") / "tiny", config)
    sizes = read_json(root / "sizes.json")
    for run in model_runs(config):
        masks = {"lth-adaptive": 1, "lap": 1, "longer": 1, "dense": 0}.get(run.method, 2)
        kept = round(PRUNABLE * (1 - run.sparsity))
        names = ("en", "fr")[:masks] if masks > 1 else ("all",)
        facts = {"sparsity": run.sparsity, "mask_bytes": 125 * masks, "sparse_bytes": 4000 if masks == 1 else 5000}
        facts["sparse_bytes_each"] = dict.fromkeys(names, 4000)
        sizes[run.folder] |= {"bytes": BYTES} | (facts if masks else {})
        if run.method == "lth-adaptive":
            rows = [dict(step=50, kept=kept, removed=30, regrown=30), dict(step=100, kept=kept, removed=6, regrown=6)]
            write_tsv(root / run.folder / "adaptations.tsv", tuple(rows[0]), rows)
        if run.method.startswith("dynamic"):
            columns = ("step", "language", "sparsity", "kept", "removed", "regrown")
            values = [(70, "en", 0.5, 500, 25, 25), (100, "en", 0.7, 300, 210, 10), (100, "fr", 0.7, 300, 200, 0)]
            rows = [dict(zip(columns, row, strict=True)) for row in values]
            write_tsv(root / run.folder / "adaptations.tsv", columns, rows)
    write_json(root / "sizes.json", sizes)
    shared = {"corpus": "talk_show", "model": "ctc", "seed": 0}
    between = {"language_a": "en", "language_b": "fr", "iou": 0.4, "level": 0.7, "level_b": 0.7}
    name = "encoder.encoders.0.self_attn.linear_q.weight"
    matrix = {"level": 0.7, "language": "all", "matrix": name, "weights": 1000, "sparsity": 0.7}
    overlaps = [shared | {"scope": "each", "method": "lth-adaptive"} | between]
    matrices = [shared | {"scope": "all", "method": "lap"} | matrix]
    write_json(root / "masks.json", {"overlaps": overlaps, "matrices": matrices})
    return config, root, write_tables(config, root)


def pieces(tables: Tables, method: str, scope: str) -> list[tuple]:
    return [
        (row["stage"], row["made_by"], float(row["sparsity"]), int(row["first_step"]), int(row["last_step"]))
        for row in tables["schedule"]
        if (row["method"], row["scope"]) == (method, scope)
    ]


def test_schedules_of_masks_and_of_pathways(pruned):
    """100 steps a level; the first 100 are without pruning. Dynamic pathways begin at the level of their masks, and
    fixed ones are trained as long as they are."""
    _, _, tables = pruned
    finetune = ("1", "finetune", 0.0, 0, 100)
    assert pieces(tables, "lth-adaptive", "fr") == [
        finetune,
        ("1", "lth-adaptive", 0.5, 100, 200),
        ("1", "lth-adaptive", 0.7, 200, 300),
    ]
    assert pieces(tables, "pathways-lth-s700", "all") == [
        finetune,
        ("1", "lth", 0.5, 100, 200),
        ("1", "lth", 0.7, 200, 300),
        ("2", "pathways-lth-s700", 0.7, 300, 500),
    ]
    assert pieces(tables, "dynamic-lap-s500", "all") == [
        finetune,
        ("1", "lap", 0.5, 100, 200),
        ("2", "dynamic-lap-s500", 0.5, 200, 300),
        ("2", "dynamic-lap-s500", 0.7, 300, 400),
    ]
    assert pieces(tables, "longer", "en") == [("1", "longer", 0.0, 0, 300)]


def test_adaptations_count_from_the_dense_model(pruned):
    _, root, tables = pruned
    rows = [row for row in tables["adaptations"] if row["scope"] == "en"]
    assert [(row["sparsity"], row["step"], row["total_step"]) for row in rows] == [
        ("0.5", "50", "150"), ("0.5", "100", "200"), ("0.7", "50", "250"), ("0.7", "100", "300"),
    ]  # fmt: skip
    assert [float(row["changed"]) for row in rows] == [30 / 500, 6 / 500, 30 / 300, 6 / 300]
    assert all((root / row["source"]).is_file() and row["language"] == "en" for row in rows)
    dynamic = [row for row in tables["adaptations"] if row["method"] == "dynamic-lap-s500"]
    assert [(row["language"], row["sparsity"], row["total_step"], float(row["changed"])) for row in dynamic] == [
        ("en", "0.5", "270", 0.05), ("en", "0.7", "300", 10 / 300), ("fr", "0.7", "300", 0.0),
    ]  # fmt: skip


def test_bytes_together_and_separate(pruned):
    _, _, tables = pruned
    rows = {row["method"]: row for row in tables["storage"]}
    assert set(rows) == {"lap", "pathways-lth-s700", "dynamic-lap-s500"}

    def numbers(method: str) -> list[float]:
        columns = ("languages", "theta_bytes", "mask_bytes", "total_bytes", "separate_bytes", "ratio")
        columns += ("sparse_total_bytes", "sparse_separate_bytes", "sparse_ratio")
        return [float(rows[method][column]) for column in columns]

    # LAP has one file, which two separate models would have twice.
    assert numbers("lap") == pytest.approx([2, 10_000, 125, 10_125, 20_000, 0.50625, 4000, 8000, 0.5])
    # One file of two masks and the weights that either keeps.
    expected = [2, 10_000, 250, 10_250, 20_000, 0.5125, 5000, 8000, 0.625]
    assert numbers("pathways-lth-s700") == pytest.approx(expected)


def test_storage_is_shown_with_what_is_counted(pruned):
    _, root, _ = pruned
    text = (root / "tables" / "storage.md").read_text(encoding="utf-8")
    assert "| pathways-lth-s700 |" in text and "0.51 |" in text
    assert "one bit for each prunable weight" in text
    assert r"$\theta$ + masks" in (root / "tables" / "storage.tex").read_text(encoding="utf-8")


def test_steps_of_all_that_a_model_is_made_from_are_shown(pruned):
    """400 dense steps; 100 without pruning; 100 a level; 200 for pathways, dynamic ones from 50 % and fixed ones."""
    _, root, tables = pruned
    shared, wer = ((root / "tables" / f"{name}.md").read_text(encoding="utf-8") for name in ("storage", "wer"))
    assert "Budget: 700–900 training steps a model from random weights on, along its longest chain; " in shared
    assert "its own training: 400 steps" in shared
    assert "Budget: 400–900 training steps a model from" in wer and "Steps: training steps behind one model" in wer
    behind = {
        (row["method"], row["sparsity_target"]): row["total_steps"] for row in tables["runs"] if row["stage"] == "model"
    }
    assert behind == {
        ("dense", "0.0"): "400", ("lap", "0.5"): "600", ("lap", "0.7"): "700", ("lth-adaptive", "0.5"): "600",
        ("lth-adaptive", "0.7"): "700", ("longer", "0.0"): "700", ("pathways-lth-s700", "0.7"): "900",
        ("dynamic-lap-s500", "0.7"): "800",
    }  # fmt: skip
    header = next(line for line in wer.splitlines() if line.startswith("| Model"))
    places = [cell.strip() for cell in header.split("|")]
    shown = [line.split("|")[places.index("Steps")].strip() for line in wer.splitlines() if "| lap " in line]
    assert shown[:2] == ["600", "700"]


def test_the_page_shows_the_figures_that_have_data(pruned, tmp_path):
    """The same bytes from the same tables; without masks to compare, their figures are left out."""
    config, finished, tables = pruned
    root = Path(shutil.copytree(finished, tmp_path / "tiny"))
    figures, output = root / "figures", root / "report" / "index.html"
    specs = {figure.name: figure for figure in all_figures()}
    for figure in all_figures():
        write_text(figures / f"{figure.name}.svg", "<svg/>")
    for name in ("sparsity", "schedule", "adaptation", "overlap", "matrix_sparsity"):
        for folder in (figures, root / "again"):
            write_figure(specs[name], tables, folder / f"{name}.svg")
        assert (figures / f"{name}.svg").read_bytes() == (root / "again" / f"{name}.svg").read_bytes()
    write_report(config, root / "tables", figures, output, root)
    page = output.read_text(encoding="utf-8")
    assert all(f"<strong>{figure.title}.</strong>" in page for figure in all_figures())

    for name in ("overlap", "matrix_sparsity"):
        write_figure(specs[name], tables | {"masks": [], "matrices": []}, figures / f"{name}.svg")
    write_report(config, root / "tables", figures, output, root)
    page = output.read_text(encoding="utf-8")
    left = {figure.name for figure in all_figures() if f"<strong>{figure.title}.</strong>" not in page}
    assert left == {"overlap", "matrix_sparsity"}


# The figures, from rows made by hand.


def title(ax: Axes) -> str:
    return ax.get_title(loc="left") or ax.get_title()


def score(method: str, level: float, scope: str, language: str, wer: float, **other: str) -> dict:
    interval = {"wer_low": str(wer - 1), "wer_high": str(wer + 2), "source": "score.json"}
    axes = AXES | {"method": method, "sparsity_target": str(level), "scope": scope, "language": language}
    return axes | {"wer": str(wer)} | interval | other


def wer_rows() -> list[dict]:
    rows = [score("dense", 0.0, "all", code, value) for code, value in (("en", 30), ("avg", 25))]
    rows += [score("dense", 0.0, scope, code, 35, model="small") for scope, code in (("en", "en"), ("each", "avg"))]
    rows += [score("longer", 0.0, "en", "en", 29), score("longer", 0.0, "each", "avg", 24)]
    for level, value in ((0.5, 32), (0.7, 40)):
        rows += [score("imp", level, "en", "en", value), score("imp", level, "each", "avg", value - 3)]
    rows += [score("dynamic-lth-s500", 0.7, "all", "en", 33), score("dynamic-lth-s500", 0.7, "all", "avg", 28)]
    rows += [score("dynamic-lth-s500", 0.7, "en-fr", code, 31) for code in ("en", "avg")]
    rows += [score("imp+layerwise", level, "en", "en", value) for level, value in ((0.3, 90), (0.7, 39))]
    other = [row | {"search": "beam", "wer": "1"} for row in rows if row["method"] == "imp"]
    return rows + other


def test_lines_and_points_of_wer_against_sparsity():
    figure = plots.sparsity({"wer": wer_rows()})
    assert [title(ax) for ax in figure.axes] == ["en", "avg"]
    english, average = figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in english.lines if len(line.get_ydata()) == 2}
    flat = {name: heights for name, heights in lines.items() if not name.startswith("_")}
    assert flat == {
        "dense, multilingual": [30, 30], "dense, longer": [29, 29], "small, dense, monolingual": [35, 35],
    }  # fmt: skip
    (imp,) = (line for line in english.lines if len(line.get_xdata()) == 3)
    assert (list(imp.get_xdata()), list(imp.get_ydata())) == ([0, 50, 70], [30, 32, 40])
    named = dict(zip([tick.get_text() for tick in average.get_xticklabels()], average.get_xticks(), strict=True))
    half = "dynamic LTH-50\N{NO-BREAK SPACE}%"
    assert list(named) == ["0", "50", "70", half, f"{half}, en + fr", "IMP (layerwise)"]
    points = {container.lines[0].get_xdata()[0]: container for container in english.containers}
    heights = {name: points[x].lines[0].get_ydata()[0] for name, x in named.items()}
    assert list(heights.values()) == [30, 32, 40, 33, 31, 39]
    bar = points[named[half]].lines[2][0].get_segments()[0]
    assert list(bar[:, 1]) == [32, 35]
    # An average over some of the languages stands beside no average over all.
    assert sorted(container.lines[0].get_ydata()[0] for container in average.containers) == [25, 28, 29, 37]


def test_pathways_of_masks_below_the_target_are_points_too():
    rows = [score("imp", 0.7, "en", "en", 40), score("pathways-imp-s500", 0.5, "all", "en", 36)]
    (ax,) = plots.sparsity({"wer": rows}).axes
    assert [tick.get_text() for tick in ax.get_xticklabels()][-1] == "pathways IMP-50\N{NO-BREAK SPACE}%"
    assert sorted(container.lines[0].get_ydata()[0] for container in ax.containers) == [36, 40]


def test_several_seeds_are_a_mean_and_a_deviation():
    rows = [score("lap", 0.7, "all", "en", value, seed=seed) for seed, value in (("0", 30), ("1", 34))]
    (container,) = plots.sparsity({"wer": rows}).axes[0].containers
    assert container.lines[0].get_ydata()[0] == 32
    assert list(container.lines[2][0].get_segments()[0][:, 1]) == pytest.approx([32 - 8**0.5, 32 + 8**0.5])


def test_schedule_draws_levels_stages_and_adaptations(pruned):
    _, _, tables = pruned
    axes = {title(ax): ax for ax in plots.schedule(tables).axes}
    half, target = "LAP-50\N{NO-BREAK SPACE}%", "LTH-70\N{NO-BREAK SPACE}%"
    assert list(axes) == ["LAP", "adaptive LTH", "dense, longer", f"pathways {target}", f"dynamic {half}"]

    def segments(ax: Axes) -> list[list[float]]:
        return [[*line[:, 0], *line[:, 1]] for collection in ax.collections for line in collection.get_segments()]

    dynamic = segments(axes[f"dynamic {half}"])
    assert [line for line in dynamic if line[0] != line[1]] == [
        [0, 100, 0, 0], [100, 200, 50, 50], [200, 300, 50, 50], [300, 400, 70, 70],
    ]  # fmt: skip
    assert [line[:2] for line in dynamic if line[0] == line[1]][-2:] == [[270, 270], [300, 300]]
    assert {line[0] for line in segments(axes["adaptive LTH"]) if line[2:] in ([42, 48], [62, 68])} == {
        150, 200, 250, 300,
    }  # fmt: skip
    assert not any(line[2:] == [62, 68] for line in segments(axes["LAP"]))


def test_adaptation_draws_shares_in_percent(pruned):
    _, _, tables = pruned
    adaptive, dynamic = plots.adaptation(tables).axes
    assert title(adaptive) == "adaptive LTH"
    english = next(line for line in adaptive.lines if line.get_label() == "en")
    assert list(english.get_xdata()) == [150, 200, 250, 300]
    assert list(english.get_ydata()) == pytest.approx([6, 1.2, 10, 2])
    assert [(text.get_text()[:2], text.xy[0]) for text in dynamic.texts] == [("50", 200), ("70", 300)]


def overlap_row(method: str, a: str, b: str, iou: float, level=0.7, level_b=0.7, scope="each", seed="0") -> dict:
    axes = AXES | {"method": method, "scope": scope, "seed": seed, "level": str(level), "level_b": str(level_b)}
    return axes | {"language_a": a, "language_b": b, "iou": str(iou)}


def shown(ax: Axes) -> list[list[str]]:
    """The numbers in a heatmap, by line."""
    texts = sorted(ax.texts, key=lambda text: (text.get_position()[1], text.get_position()[0]))
    width = len(ax.get_xticks())
    numbers = [text.get_text() for text in texts]
    return [numbers[start : start + width] for start in range(0, len(numbers), width)]


def test_overlaps_are_symmetric_means_over_seeds():
    rows = [overlap_row("lth", "en", "fr", iou, seed=seed) for seed, iou in (("0", 0.2), ("1", 0.4))]
    rows += [overlap_row("lth", "en", "it", 0.5), overlap_row("lth", "fr", "it", 0.6)]
    rows += [overlap_row("lth", "en", "fr", 0.9, 0.5, 0.5)]  # not the target
    rows += [overlap_row("lth", "en", "en", 0.7, 0.5, 0.7), overlap_row("lth", "fr", "fr", 0.8, 0.5, 0.7)]
    rows += [overlap_row("pathways-lth-s700", "en", "fr", 0.3, scope="all")]  # the masks of lth
    rows += [overlap_row("dynamic-lth-s500", "en", "fr", 0.1, scope="en-fr")]
    between, dynamic, levels = plots_masks.overlap({"masks": rows}).axes
    assert shown(between) == [["1.00", "0.30", "0.50"], ["0.30", "1.00", "0.60"], ["0.50", "0.60", "1.00"]]
    assert [tick.get_text() for tick in between.get_yticklabels()] == ["en", "fr", "it"]
    assert shown(dynamic) == [["1.00", "0.10"], ["0.10", "1.00"]]
    assert "en + fr" in " ".join(title(dynamic).split())
    assert title(levels) == "LTH, en"
    assert shown(levels) == [["1.00", "0.70"], ["0.70", "1.00"]]


def test_sparsity_of_layers_weighs_matrices_by_their_size():
    def row(matrix: str, weights: int, sparsity: float, level: float = 0.7, language: str = "en") -> dict:
        facts = {"matrix": matrix, "weights": str(weights), "sparsity": str(sparsity), "level": str(level)}
        return AXES | {"method": "imp", "scope": "each", "language": language} | facts

    q, w = "encoder.encoders.{}.self_attn.linear_q.weight", "encoder.encoders.{}.feed_forward.w_1.weight"
    rows = [row(q.format(0), 100, 0.9), row(w.format(0), 300, 0.5), row(q.format(1), 100, 0.7)]
    rows += [row(q.format(1), 100, 0.8, language="fr"), row(q.format(0), 100, 0.1, level=0.5)]
    layers, kinds = plots_masks.matrix_sparsity({"matrices": rows}).axes
    assert shown(layers) == [["60", "75"]]
    assert shown(kinds) == [["80", "50"]]
    assert [tick.get_text() for tick in layers.get_xticklabels()] == ["encoder 0", "encoder 1"]
    assert [tick.get_text() for tick in kinds.get_xticklabels()] == ["self_attn.linear_q", "feed_forward.w_1"]


@pytest.mark.parametrize(
    "matrix, layer, kind",
    [
        ("encoder.encoders.11.conv_module.pointwise_conv1.weight", "encoder 11", "conv_module.pointwise_conv1"),
        ("predictor.lstm.weight_hh_l2", "predictor 2", "predictor lstm.weight_hh"),
        ("decoder.decoders.0.src_attn.linear_v.weight", "decoder 0", "decoder src_attn.linear_v"),
        ("encoder.after.weight", "encoder", "after"),
    ],
)
def test_layers_and_kinds_are_read_from_names(matrix, layer, kind):
    assert _parsed(matrix) == (layer, kind)


def test_names_are_joined():
    assert _joined(["IMP"]) == "IMP"
    assert _joined(["IMP", "LTH", "LAP"]) == "IMP, LTH and LAP"
    assert _joined(["adaptive IMP", "adaptive LTH"]) == "adaptive IMP and LTH"


def test_exactly_the_declared_files_are_read(pruned, files_read):
    config, root, _ = pruned
    assert files_read(config, root) == set(measured(config))
