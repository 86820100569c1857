"""Tables 1 to 3 and their budget, against numbers written out by hand; the published ones from the paper's tables."""

import math
from pathlib import Path

import pytest
from decodings import write_decoding

from secateur.core.files import read_tsv, write_json, write_text, write_tsv
from secateur.pruning import multilingual
from secateur.pruning.multilingual import TABLE1, TABLE2, TABLE3
from secateur.reporting import published
from secateur.reporting.registry import resolve
from secateur.reporting.render import markdown
from secateur.reporting.results import Results, speakers_file
from secateur.reporting.table import header
from secateur.reporting.table import tables as all_tables
from secateur.study.runs import decodings, model_runs

ALL = ["en", "fr", "it", "nl"]
WRONG = {"en": 1, "fr": 3, "it": 4, "nl": 6}
"""Errors in 10 words; their mean is 35 %."""
DYNAMIC = 2
"""Errors that dynamic pathways have more."""
OTHERS = {"corpora": [], "runs": []}
"""Tables that captions look into."""
OTHER_BASE = 1
"""Errors that the models of architecture `wide` have more."""
LTH = [["lth", 0.7]]
ENTRY = {
    "corpus": "mls",
    "model": "ctc",
    "variant": None,
    "reference": "small",
    "schedule": "progressive",
    "searches": ["greedy"],
    "methods": ["imp", "lth", "one-shot"],
    "pathways": [
        {"languages": ALL, "method": "pathways", "start": LTH},
        {"languages": ALL, "method": "dynamic", "start": [["lth", 0.5]]},
        {"languages": ["fr", "nl"], "method": "pathways", "start": LTH},
        {"languages": ["fr", "nl"], "method": "dynamic", "start": [["lap", 0.5]]},
        {"languages": ["en", "it"], "method": "pathways", "start": LTH},
    ],
}
CONFIG = {
    "corpora": {"mls": {"recipe": "mls", "languages": ALL}},
    "models": {"ctc": {"training": "long"}, "wide": {"training": "long"}, "small": {"training": "short"}},
    "training": {"long": {"steps": 1000}, "short": {"steps": 300}, "retrain": {"steps": 100}},
    "pruning": {"progressive": {"levels": [0.2, 0.5, 0.7], "training": "retrain", "steps_per": "all"}},
    "searches": {"greedy": {"type": "ctc_greedy"}},
    "dense": [
        {"corpus": "mls", "model": "ctc", "scopes": ["all"]},
        {"corpus": "mls", "model": "small", "scopes": ["each"]},
    ],
    "layers": [],
    "regularise": [],
    "heads": [],
    "ssl": [],
    "prune": [ENTRY],
    "decode": {"splits": ["test"], "searches": ["greedy"]},
    "seeds": [0],
}


def build(root: Path, config: dict) -> Results:
    """The files that the three tables are made of."""
    large = {"small": 57_000_000, "ctc": 180_000_000, "wide": 180_000_000, "tiny": 2_000_000}
    sizes = {
        run.folder: {"sparsity": run.sparsity - 0.01, "parameters": large[run.model]} for run in model_runs(config)
    }
    write_json(root / "sizes.json", sizes)
    for run in filter(lambda run: run.mask_changes, model_runs(config)):
        taken = 0 if run.scope == "fr-nl" else 7
        rows = [dict(step=step, language="fr", kept=100, regrown=regrown) for step, regrown in ((50, 0), (60, taken))]
        write_tsv(root / run.folder / "adaptations.tsv", tuple(rows[0]), rows)
    for decoding in decodings(config):
        run = decoding.run
        wrong = WRONG[decoding.language] + DYNAMIC * run.kind.startswith("dynamic") + OTHER_BASE * (run.model == "wide")
        wrong += run.seed
        counts = [(wrong - 1, 6), (1, 4)]
        rows = [
            {"utterance": f"u{place}", "errors": errors, "words": words}
            | {"character_errors": errors, "characters": 5 * words}
            for place, (errors, words) in enumerate(counts)
        ]
        write_decoding(root / decoding.folder, decoding.language, utterances=rows)
        write_text(root / speakers_file(decoding), "u0 anna\nu1 bert\n")
    return Results(config, root)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return build(tmp_path_factory.mktemp("multilingual"), CONFIG)


def table(results: Results, number: int) -> list[dict]:
    lines = {1: TABLE1, 2: TABLE2, 3: TABLE3}[number]
    figures = {1: published.S3_TABLE1, 2: published.S3_TABLE2, 3: published.S3_TABLE3}[number]
    return list(multilingual.rows(results, lines, figures, few=number == 2))


def beside(row: dict) -> dict[str, float]:
    """The published figures of a row."""
    return {name.removeprefix("published_"): row[name] for name in row if name.startswith("published_")}


def view(results: Results, number: int) -> str:
    """Table `number` as its Markdown shows it."""
    shown = next(table for table in all_tables() if table.name == f"table{number}")
    path = results.root / f"{shown.name}.tsv"
    write_tsv(path, header(shown, results.config), resolve(shown.rows)(results))
    return markdown(resolve(shown.view)({shown.name: read_tsv(path)} | OTHERS))


def test_rows_of_table_1(results):
    rows = table(results, 1)
    assert [(row["stage"], row["model"], row["initialization"], row["scope"], row["steps"]) for row in rows] == [
        ("ref", "small dense", "", "each", 300),
        ("1", "dense", "", "all", 1000),
        ("2", "IMP", "", "each", 1400),
        ("2", "LTH", "", "each", 1400),
        ("3", "ASR Pathways", "LTH-70%", "all", 1600),
    ]
    # Of each of four languages: 1000 / 4 of the dense model, T = 100 of a level, two levels of all together.
    assert [row["stage_steps"] for row in rows] == [300, 250, 100, 100, 50]
    for row in rows:
        assert [row[code] for code in ALL] == [10, 30, 40, 60]
        for code, wrong in WRONG.items():
            # Utterances pull by 100 (0.4 w − 1) / 10 points and by as much the other way, one error by 10 at least; t
            # of one degree of freedom, on the scale of logarithms.
            factor = math.exp(12.706 * max(10, 42.492 * abs(0.4 * wrong - 1)) / (10 * wrong))
            ends = row[f"{code}_low"], row[f"{code}_high"]
            assert ends == pytest.approx((10 * wrong / factor, 10 * wrong * factor), rel=1e-2)
            assert row[f"{code}_cer"] == pytest.approx(2 * wrong)
        assert row["avg"] == pytest.approx(35)
        assert row["avg_low"] < 35 < row["avg_high"]
    assert [row["training"] for row in rows] == ["monolingual", "multilingual", *["monolingual"] * 2, "multilingual"]
    assert [row["sparsity"] for row in rows] == [0, 0, *[pytest.approx(0.69)] * 3]
    assert [row["mask_changes"] for row in rows] == [None, None, False, False, False]


def test_published_figures_of_table_1(results):
    rows = {row["method"] + row["scope"]: beside(row) for row in table(results, 1)}
    assert rows == {
        "denseeach": {"en": 12.15, "fr": 16.00, "it": 27.62, "nl": 23.23, "avg": 19.75},
        "denseall": {"en": 12.91, "fr": 10.90, "it": 16.94, "nl": 17.56, "avg": 14.58},
        "impeach": {"en": 10.74, "fr": 11.26, "it": 17.90, "nl": 18.38, "avg": 14.57},
        "ltheach": {"en": 10.80, "fr": 10.38, "it": 18.44, "nl": 17.48, "avg": 14.28},
        "pathways-lth-s700all": {"en": 11.39, "fr": 10.20, "it": 17.58, "nl": 15.84, "avg": 13.75},
    }


def test_the_other_published_figures():
    assert published.S3_TABLE1["lap"] == {"en": 13.82, "fr": 11.98, "it": 27.71, "nl": 19.32, "avg": 18.21}
    assert published.S3_TABLE1["pathways-imp-s700"] == {
        "en": 11.15, "fr": 10.68, "it": 17.53, "nl": 16.90, "avg": 14.06,
    }  # fmt: skip
    assert published.S3_TABLE1["imp-adaptive"] == {"en": 10.07, "fr": 10.90, "it": 17.21, "nl": 16.98, "avg": 13.79}
    assert published.S3_TABLE1["lth-adaptive"] == {"en": 10.54, "fr": 9.91, "it": 17.06, "nl": 16.63, "avg": 13.53}
    assert {method: [*row.values()] for method, row in published.S3_TABLE2.items()} == {
        "pathways-lth-s700": [10.73, 16.23, 13.48],
        "pathways-lap-s700": [11.98, 19.32, 15.65],
        "dynamic-lth-s700": [11.31, 15.55, 13.43],
        "dynamic-lth-s500": [10.48, 14.92, 12.70],
        "dynamic-lth-s200": [10.99, 16.17, 13.58],
        "dynamic-lap-s700": [10.98, 16.54, 13.76],
        "dynamic-lap-s500": [10.82, 16.25, 13.54],
        "dynamic-lap-s200": [10.88, 16.43, 13.65],
    }
    everything = {**published.S3_TABLE1, **published.S3_TABLE2, **published.S3_TABLE3}.values()
    for row in everything:
        *languages, average = row.values()
        assert average == pytest.approx(sum(languages) / len(languages), abs=0.011), "rounded by the paper"


def test_rows_of_table_2(results):
    """Each subset has rows of its own; an average of other languages than the published ones stands beside none."""
    rows = {(row["method"], row["scope"]): row for row in table(results, 2)}
    assert set(rows) == {
        ("pathways-lth-s700", "en-it"), ("pathways-lth-s700", "fr-nl"), ("dynamic-lap-s500", "fr-nl"),
    }  # fmt: skip
    fixed, dynamic = rows["pathways-lth-s700", "fr-nl"], rows["dynamic-lap-s500", "fr-nl"]
    assert (fixed["fr"], fixed["nl"], fixed["avg"]) == (30, 60, pytest.approx(45))
    assert (dynamic["fr"], dynamic["nl"], dynamic["avg"]) == (50, 80, pytest.approx(65))
    assert beside(fixed) == {"fr": 10.73, "nl": 16.23, "avg": 13.48}
    assert beside(dynamic) == {"fr": 10.82, "nl": 16.25, "avg": 13.54}
    # 1000 dense, 100 without pruning, levels of 20 and 50 %; then 100 each at 50 and 70 %
    assert (dynamic["steps"], dynamic["initialization"], dynamic["mask_changes"]) == (1500, "LAP-50%", True)
    assert dynamic["most_changed"] == 0
    other = rows["pathways-lth-s700", "en-it"]
    assert (other["en"], other["it"], other["avg"]) == (10, 40, pytest.approx(25))
    assert "fr" not in other and beside(other) == {}


def test_rows_of_table_3(results):
    fixed, dynamic = table(results, 3)
    assert beside(fixed) == {"en": 13.56, "fr": 10.53, "it": 17.10, "nl": 16.37, "avg": 14.39}
    assert beside(dynamic) == {"en": 14.84, "fr": 10.35, "it": 16.10, "nl": 15.15, "avg": 14.11}
    assert [dynamic[code] for code in (*ALL, "avg")] == [30, 50, 60, 80, pytest.approx(55)]
    assert (fixed["initialization"], dynamic["initialization"]) == ("LTH-70%", "LTH-50%")


def test_rows_of_other_languages_or_corpora_have_no_published_figures(tmp_path):
    corpora = {"mls": {"recipe": "mls", "languages": ["en", "fr"]}}
    pathways = [{"languages": ["en", "fr"], "method": "pathways", "start": LTH}]
    results = build(tmp_path, CONFIG | {"corpora": corpora, "prune": [ENTRY | {"pathways": pathways}]})
    first, second = (table(results, number) for number in (1, 2))
    assert beside(first[1]) == {}
    assert first[1]["avg"] == pytest.approx(20)
    assert [beside(row) for row in second] == [{}]
    assert beside(table(results, 3)[0]) == {}
    header = next(line for line in view(results, 1).splitlines() if line.startswith("| Arch"))
    assert header.replace(" ", "").endswith("|Stepsalanguage|Steps|en|fr|avg|CER,avg|")
    other = build(tmp_path / "other", CONFIG | {"corpora": {"mls": {"recipe": "espeak", "languages": ALL}}})
    assert not any(beside(row) for number in (1, 2, 3) for row in table(other, number))


def test_masks_that_could_change_and_never_did_are_no_test(results):
    """Dynamic pathways of fr and nl took up nothing; those of all languages 7 of 100 weights at one adaptation."""
    changes = {number: {row["method"]: row["most_changed"] for row in table(results, number)} for number in (2, 3)}
    assert changes[2] == {"pathways-lth-s700": None, "dynamic-lap-s500": 0}
    assert changes[3] == {"pathways-lth-s700": None, "dynamic-lth-s500": 0.07}
    assert "never: not a test" in view(results, 2) and "never: not a test" not in view(results, 3)
    assert "| yes, 7.0 % " in view(results, 3)


def test_models_of_another_scale_have_no_published_figures(tmp_path):
    """Ours of 2M beside theirs of 187M."""
    models = CONFIG["models"] | {"tiny": {"training": "long"}}
    dense = [*CONFIG["dense"], {"corpus": "mls", "model": "tiny", "scopes": ["all"]}]
    results = build(tmp_path, CONFIG | {"models": models, "dense": dense, "prune": [ENTRY | {"model": "tiny"}]})
    for number in (1, 2, 3):
        assert not any(beside(row) for row in table(results, number) if row["base"] == "tiny")
    assert beside(next(row for row in table(results, 1) if row["base"] == "small"))["avg"] == 19.75


def test_models_of_another_sparsity_have_no_published_figures(tmp_path):
    pruning = {"progressive": {"levels": [0.2, 0.5], "training": "retrain", "steps_per": "all"}}
    results = build(tmp_path, CONFIG | {"pruning": pruning, "prune": [ENTRY | {"pathways": []}]})
    rows = {row["method"] + row["scope"]: beside(row) for row in table(results, 1)}
    assert rows["impeach"] == rows["ltheach"] == {}
    assert rows["denseall"]["avg"] == 14.58 and rows["denseeach"]["avg"] == 19.75


def test_the_view_keeps_languages_and_architectures_apart(results):
    text = view(results, 2)
    assert "| Languages " in text
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "Pathways" in line][1:]
    assert [line[6:10] for line in lines] == [
        ["en + it", "69", "50", "1,500"], ["fr + nl", "69", "100", "1,600"], ["fr + nl", "69", "100", "1,500"],
    ]  # fmt: skip
    # en fr it nl avg, characters, then the published ones of fr, nl and both
    assert [cell.partition(" [")[0] for cell in lines[0][10:]] == ["10.0", "–", "40.0", "–", "25.0", "5.0", *"–––"]
    assert all("[" in lines[0][place] for place in (10, 12, 14)) and "±" not in text
    assert lines[1][11].startswith("30.0 [") and lines[1][16:] == ["10.73", "16.23", "13.48"]
    assert "small dense ones of 56M parameters, all others of 187M; pruned ones at a sparsity of 70 %" in text
    assert "Languages" not in view(results, 1)


def test_seeds_are_combined_and_a_shared_reference_is_shown_once(tmp_path):
    wide = {"corpus": "mls", "model": "wide", "scopes": ["all"]}
    config = CONFIG | {"seeds": [0, 1], "dense": [*CONFIG["dense"], wide]}
    config["prune"] = [ENTRY | {"model": model, "pathways": [], "methods": ["imp"]} for model in ("ctc", "wide")]
    results = build(tmp_path, config)
    assert sum(row["model"] == "small dense" for row in table(results, 1)) == 2
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in view(results, 1).splitlines()]
    shown = {(line[0], line[2]): line[9] for line in lines if len(line) > 9 and line[7][:1].isdigit()}
    assert shown == {
        ("small", "small dense"): "15.0 ± 7.1", ("ctc", "dense"): "15.0 ± 7.1", ("ctc", "IMP"): "15.0 ± 7.1",
        ("wide", "dense"): "25.0 ± 7.1", ("wide", "IMP"): "25.0 ± 7.1",
    }  # fmt: skip


def test_the_level_that_masks_start_from_is_named_exactly(tmp_path):
    pruning = {"progressive": {"levels": [0.125, 0.7], "training": "retrain", "steps_per": "all"}}
    pathways = [{"languages": ALL, "method": "dynamic", "start": [["lap", 0.125]]}]
    runs = list(model_runs(CONFIG | {"pruning": pruning, "prune": [ENTRY | {"pathways": pathways}]}))
    assert runs[-1].initialization == "LAP-12.5%"


def test_budget(tmp_path):
    """Two languages: 300 steps for each reference, 1000 for the dense model, 100 before pruning and 100 a level."""
    pathways = [{"languages": ["en", "fr"], "method": "pathways", "start": LTH}]
    entry = ENTRY | {"methods": ["lth", "one-shot"], "pathways": pathways}
    corpora = {"mls": {"recipe": "mls", "languages": ["en", "fr"]}}
    (row,) = multilingual.budget(Results(CONFIG | {"corpora": corpora, "prune": [entry]}, tmp_path))
    reference, dense, lth = 2 * 300, 1000, 1000 + 2 * (100 + 3 * 100)
    assert row == {
        "corpus": "mls",
        "base": "ctc",
        "seed": 0,
        "rows": 4,
        "steps_run": reference + lth + 100,
        "steps_alone": reference + dense + lth + (lth + 100),
        "share": 2500 / 5300,
    }
