"""Tables and figures of self-supervised encoders, from made-up scores whose Eq. 6 can be computed by hand."""

import shutil

import numpy as np
import pytest

from secateur.core.files import read_json, write_json, write_tsv
from secateur.decoding.timing import AGAIN
from secateur.reporting import published
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.results import Results
from secateur.reporting.table import measured, read_tables
from secateur.ssl import plots
from secateur.ssl import study as upstreams
from secateur.ssl.reading import structured_view, view
from secateur.ssl.scales import superb_scale
from secateur.ssl.tables import blocks, own, scores, structured

GATES = {"type": "gates", "training": "acoustic", "sparsity": 0.8, "kinds": ["mha", "ffn", "qk", "vo", "int"]}
ENTRY = {
    "name": "small",
    "corpus": "talk_show",
    "folder": None,
    "pretraining": {"iterations": [{"training": "acoustic"}]},
    "students": [
        {"name": "proposed", "straight_through": True, **GATES},
        {"name": "without-ste", "straight_through": False, **GATES},
        {"name": "distilled", "type": "layers", "training": "acoustic"},
    ],
    "speed": {"base": 10},
    "tasks": {"asr": {"source": "official"}, "sid": {"source": "directories"}},
}
# Word error rate, and accuracy, which the teacher does not improve, of each model.
SCORES = {
    "fbank": (60.0, 50.0),
    "fbank-cmvn": (64.0, 45.0),
    "random": (66.0, 30.0),
    "teacher": (20.0, 50.0),
    "proposed": (30.0, 90.0),
    "without-ste": (40.0, 80.0),
    "distilled": (70.0, 70.0),
}
DECIDED = {
    "proposed": {"expected_sparsity": 0.745, "reached": 0.8, "polarisation": 0.97, "missed": 0.31},
    "without-ste": {"expected_sparsity": 0.793, "reached": 0.8, "polarisation": 0.5, "missed": 0.4},
}
CONFIG = {
    "model_type": "wavlm",
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 16,
    "layers": None,
}
PRUNED = [
    {"heads": [1], "qk": [3], "vo": [2], "ffn": 5},
    {"heads": None, "qk": [], "vo": [], "ffn": None},
]


def metric(value, higher):
    bounds = {"low": value - 5, "high": value + 5}
    shown = {"higher_is_better": higher, "chance": 25.0 if higher else None, "scored": True}
    draws = (value + np.random.default_rng(round(value)).normal(0, 2.5, 1000)).tolist()
    return {"value": value, **bounds, **shown, "units": [4000], "heads": [value], "draws": draws}


def recognised(wer):
    """On dev data a point more, and half as many of the characters."""
    found = {"wer": wer, "cer": wer / 2, "dev_wer": wer + 1, "dev_cer": (wer + 1) / 2}
    return {name: metric(value, False) | {"scored": name == "wer"} for name, value in found.items()}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory, write_study):
    base, build = write_study
    config = base | {"seeds": [0], "ssl": [ENTRY]}
    root = build(tmp_path_factory.mktemp("encoders") / "tiny", config)
    model = next(iter(sorted(root.glob("models/*/*/*/dense/*/seed0"))))
    for model_name, (wer, accuracy) in SCORES.items():
        tasks = {
            "asr": {"metrics": recognised(wer), "notes": "four clips"},
            "sid": {"metrics": {"acc": metric(accuracy, True)}, "notes": ""},
        }
        write_json(root / f"upstreams/small/{model_name}/seed0/superb/scores.json", {"tasks": tasks})
    for part in ("iteration1", "proposed", "without-ste", "distilled"):
        folder = root / f"upstreams/small/{part}/seed0"
        write_json(folder / "run.json", read_json(model / "run.json") | {"sparsity": 0.79} | DECIDED.get(part, {}))
        (folder / "history.tsv").write_text((model / "history.tsv").read_text())
        write_json(folder / "config.json", CONFIG | ({"layers": PRUNED} if part == "proposed" else {}))
        rows = [
            {
                "step": step,
                "z_mha": 1.0,
                "z_ffn": 0.5,
                "sparsity": 0.1 * step,
                "target": 0.8,
                "lambda1": 0,
                "lambda2": 1,
                "polarisation": 0.9,
            }
            for step in (1, 2)
        ]
        write_tsv(folder / "gates.tsv", tuple(rows[0]), rows)
    models = [
        {
            "model": name,
            "seconds": seconds,
            "ratio": ratio,
            "parameters": 1000 * number,
            "macs_per_second": 10.0,
            "bytes": 4000 * number,
            "peak_memory": 9000 * number,
        }
        for number, name, seconds, ratio in (
            (1, "teacher", [[4.0], [6.0], [8.0]], [1.0, 1.0, 1.0]),
            (2, "proposed", [[2.0]] * 3, [0.4, 0.25, 0.5]),
            (3, "without-ste", [[3.0]] * 3, [0.5, 0.5, 0.5]),
            (1, AGAIN, [[4.0], [6.0], [9.0]], [1.0, 0.8, 1.25]),
        )
    ]
    sound = {"same": 1.0, "same_low": 0.8, "same_high": 1.25, "doubt": "other processes used 20% of the machine"}
    about = {"device": "cpu", "threads": 1, "utterances": {"a": 60.0}, "models": models, **sound}
    write_json(root / upstreams.speed_file("small", 0, base=False), about)
    large = [row | {"parameters": 10**6 * row["parameters"]} for row in models]
    write_json(root / upstreams.speed_file("small", 0, base=True), about | {"models": large})
    write_tables(config, root)
    write_figures(root / "tables", root / "figures")
    return config, root, read_tables(root / "tables")


def rows_of(rows, **axes):
    return [row for row in rows if all(row[axis] == value for axis, value in axes.items())]


def test_the_score_is_of_the_tasks_in_which_the_teacher_beats_log_mel_features(encoders):
    _, _, tables = encoders
    scores = {row["model"]: float(row["value"]) for row in rows_of(tables["superb"], task="score")}
    # (60 − m) / (60 − 20) · 1000; accuracy does not count.
    expected = {"fbank": 0, "fbank-cmvn": -100, "random": -150, "teacher": 1000}
    expected |= {"proposed": 750, "without-ste": 500, "distilled": -250}
    assert scores == pytest.approx(expected)
    assert {row["notes"] for row in rows_of(tables["superb"], task="score")} == {"asr"}
    # Errors of ± 5 are 125 points; the two ends of the scale are as they are.
    ends = {row["model"]: row["value_high"] for row in rows_of(tables["superb"], task="score")}
    assert {name for name, high in ends.items() if not high} == {"fbank", "fbank-cmvn", "teacher"}
    assert float(ends["proposed"]) == pytest.approx(750 + 125)
    grid = view(tables)[0]
    assert "Own score" in grid.header and "which is not SUPERB's" in grid.caption


def test_the_caption_lists_what_the_score_leaves_out(encoders):
    _, _, tables = encoders
    assert "Not in the score, for the teacher is not better beyond chance: sid." in view(tables)[0].caption
    confounded = [row | {"scored": "false"} if row["task"] == "sid" else row for row in tables["superb"]]
    assert "Nor sid, which tell voices and languages together." in view(tables | {"superb": confounded})[0].caption


def test_every_encoder_stands_beside_the_better_of_the_log_mel_features(encoders):
    _, _, tables = encoders
    grid = view(tables)[1]
    assert grid.title.startswith("Above log-mel features")
    rows = {(row["model"], row["task"]): row for row in tables["superb"] if row["task"] != "score"}
    teacher = rows["teacher", "asr"]
    assert float(teacher["over_zero"]) == -40.0
    # Two independent spreads of 2.5 points.
    assert float(teacher["over_zero_high"]) == pytest.approx(-40 + 1.96 * 2.5 * 2**0.5, abs=0.8)
    assert float(rows["fbank-cmvn", "asr"]["over_zero"]) == 4.0
    assert float(rows["fbank", "sid"]["over_zero_low"]) == pytest.approx(0.0, abs=1e-9)


def test_gates_that_did_not_decide_are_named(encoders):
    _, _, tables = encoders
    grid = structured_view(tables)[0]
    assert "a point apart (proposed 74.5 and 80.0 %): these gates did not decide" in grid.caption
    for heading in ("Expected (%)", "Reached (%)", "Decided gates (%)", "Missed (%)"):
        assert heading in grid.header


def test_published_figures_stand_beside_encoders_as_large(encoders, tmp_path):
    config, root, tables = encoders
    assert {row["published"] for row in rows_of(tables["superb"], task="asr")} == {""}
    shutil.copytree(root, tmp_path / "large")
    teacher = tmp_path / "large/upstreams/small/iteration1/seed0/config.json"
    write_json(teacher, CONFIG | {"hidden_size": 768, "num_hidden_layers": 12})
    rows = list(scores(Results(config, tmp_path / "large")))
    published = {row["model"]: row["published"] for row in rows_of(rows, task="asr")}
    assert published == {
        **dict.fromkeys(("fbank", "fbank-cmvn", "random", "without-ste")),
        **{"teacher": 6.21, "proposed": 10.61, "distilled": 13.24},
    }
    beside = {row["model"]: row["published_ste"] for row in rows_of(rows, task="asr")}
    assert (beside["proposed"], beside["without-ste"], beside["teacher"]) == (10.29, 10.61, None)
    # SID is made of the corpus's own recordings, and the published score has another zero and another reference.
    assert {row["published"] for row in rows_of(rows, task="sid")} == {None}
    assert {(row["metric"], row["published"]) for row in rows_of(rows, task="score")} == {("own", None)}


def test_superbs_scale_is_for_its_ten_tasks_on_its_data(encoders, tmp_path):
    config, root, _ = encoders
    shutil.copytree(root, tmp_path / "large")
    teacher = tmp_path / "large/upstreams/small/iteration1/seed0/config.json"
    write_json(teacher, CONFIG | {"hidden_size": 768, "num_hidden_layers": 12})
    rows_of_table_1 = {"teacher": "WavLM Base", "proposed": "Proposed"}
    for model in SCORES:
        figures = published.S4_SUPERB[rows_of_table_1.get(model, "wav2vec")]
        tasks = {}
        for (task, name), value in figures.items():
            if task != "score":
                tasks.setdefault(task, {"metrics": {}, "notes": ""})["metrics"][name] = metric(
                    value, name not in ("per", "wer", "cer", "eer", "der")
                ) | {"scored": name != "cer"}
        write_json(tmp_path / f"large/upstreams/small/{model}/seed0/superb/scores.json", {"tasks": tasks})
    official = ENTRY | {"tasks": {task: {"source": "official"} for task in superb_scale().tasks}}
    changed = config | {"ssl": [official]}
    rows = rows_of(scores(Results(changed, tmp_path / "large")), task="score")
    found = {row["model"]: (row["metric"], row["value"], row["published"]) for row in rows}
    assert found["proposed"] == ("SUPERB", pytest.approx(769.61, abs=0.01), 769.62)
    assert found["teacher"] == ("SUPERB", pytest.approx(895.99, abs=0.01), 895.99)
    assert found["fbank"] == ("SUPERB", pytest.approx(491.45, abs=0.01), None)
    write_tables(changed, tmp_path / "large")
    grid = view(read_tables(tmp_path / "large/tables"))[0]
    assert "SUPERB score" in grid.header and "published SUPERB score" in grid.header
    assert "707.1" in grid.caption and "10.29 in its table 3" in grid.caption and "WavLM Large" in grid.caption


def test_speed_is_the_teachers_time_over_an_encoders(encoders):
    _, root, tables = encoders
    teacher, pruned, _, again = rows_of(tables["structured"], size="own")
    assert [float(pruned[name]) for name in ("speedup", "speedup_low", "speedup_high")] == [2.5, 2.0, 4.0]
    assert (again["model"], again["seconds"], again["speedup_low"], again["type"]) == (AGAIN, "6.0", "0.8", "")
    assert AGAIN not in {row["model"] for row in own(tables)}
    caption = (root / "tables/structured.md").read_text(encoding="utf-8")
    assert "takes 1.000 [0.800, 1.250] of its own time" in caption and "not to be relied on: other processes" in caption
    assert (teacher["speedup"], teacher["sparsity"], pruned["sparsity"]) == ("1.0", "0.0", "0.79")
    assert (pruned["fahp"], pruned["ste"], pruned["utterances"]) == ("true", "true", "1")


def test_published_sizes_stand_beside_like_encoders_and_published_speed_ups_beside_all(encoders, tmp_path):
    config, root, tables = encoders
    beside = {row["model"]: row["published_speedup"] for row in rows_of(tables["structured"], size="own")}
    assert beside == {"teacher": "1.0", "proposed": "1.99", "without-ste": "1.35", AGAIN: ""}
    assert {row["published_parameters"] for row in tables["structured"]} == {""}
    shutil.copytree(root, tmp_path / "large")
    teacher = tmp_path / "large/upstreams/small/iteration1/seed0/config.json"
    write_json(teacher, CONFIG | {"hidden_size": 768, "num_hidden_layers": 12})
    read = config | {"corpora": {"talk_show": config["corpora"]["talk_show"] | {"recipe": "librispeech"}}}
    for chosen, expected in ((config, set()), (read, {("proposed", "own", 26.57), ("teacher", "own", 94.7)})):
        rows = structured(Results(chosen, tmp_path / "large"))
        found = {(row["model"], row["size"], row.get("published_parameters")) for row in rows}
        assert {one for one in found if one[2] and one[0] != "without-ste"} == expected


def test_encoders_stand_among_all_systems_with_all_that_others_have(encoders):
    _, _, tables = encoders
    (row,) = rows_of(tables["systems"], system="small/proposed")
    assert [float(row[name]) for name in ("wer", "cer", "dev_wer", "dev_cer")] == [30, 15, 31, 15.5]
    assert [float(row[f"dev_cer_{end}"]) for end in ("low", "high")] == [10.5, 20.5]
    assert [float(row[name]) for name in ("peak_memory", "p50_s", "rtf")] == [18000, 2.0, 2 / 60]
    (teacher,) = rows_of(tables["systems"], system="small/teacher")
    # 4, 6 and 8 seconds in the rounds: their median, and an interval that a wait of 8 widens to 1.25 times the median.
    assert float(teacher["p50_s"]) == 6.0 and float(teacher["p50_s_low"]) == 4.0 and float(teacher["p50_s_high"]) == 7.5
    assert float(teacher["rtf_low"]) == pytest.approx(4 / 60) and teacher["doubt"]


def test_claims_about_encoders_rest_on_scores_and_times(encoders):
    _, _, tables = encoders
    rows = {row["id"]: row for row in tables["claims"] if row["document"] == "S4"}
    # The score is (60 − wer) / 40 · 1000: 750 and 500; of intervals ± 5 each the difference has ± 125 √2.
    row = rows["S4-ste-accuracy"]
    assert [float(row[name]) for name in ("measured", "low", "high")] == pytest.approx([250, 73, 427], abs=1)
    assert (row["verdict"], row["interval"]) == ("undecided", "test items, one model")
    assert row["why"].startswith("1 of 3 seeds") and "proposed promised 74.5% and 80.0% was reached" in row["why"]
    assert rows["S4-ste-speed"]["why"].endswith("differ in size: 2,000 to 3,000 parameters")
    assert rows["S4-fahp"]["why"] == "small has no student like proposed with whole heads"
    comparable = rows["S4-comparable"]
    assert comparable["verdict"] == "not tested" and "keeps 200% of its parameters" in comparable["why"]
    assert "scored on the study's own scale, on which wav2vec 2.0 Base has no place" in comparable["why"]
    assert rows["S4-top-layers"]["verdict"] == "undecided" and "one seed" in rows["S4-top-layers"]["why"]


def test_tasks_are_shown_with_the_encoders_own_size(encoders):
    _, _, tables = encoders
    grid = view(tables)[0]
    place = grid.header.index("Parameters (M)")
    sizes = {str(row[0]): row[place].value for row in grid.rows}
    assert sizes["teacher"] == pytest.approx(0.001) and sizes["proposed"] == pytest.approx(0.002)


def test_a_users_folder_is_found_wherever_the_clone_is(encoders, monkeypatch):
    config, root, _ = encoders
    monkeypatch.chdir(root.parent)
    write_json(root.parent / "models" / "config.json", CONFIG)
    given = ENTRY | {"folder": "models", "pretraining": None}
    found = [row for row in blocks(Results(config | {"ssl": [given]}, root)) if row["model"] == "teacher"]
    assert len(found) == 2 and {row["source"] for row in found} == {"../models/config.json"}


def test_blocks_count_what_compaction_leaves(encoders):
    _, _, tables = encoders
    first, second = rows_of(tables["blocks"], model="proposed")
    # Queries and keys 2·(8 + 1)·3, values 9·2, output 2·8 with its bias of 8; up 9·5, down 5·8 with its bias of 8.
    assert (first["attention"], first["feed_forward"]) == (str(54 + 18 + 16 + 8), str(45 + 40 + 8))
    assert (second["attention"], second["feed_forward"]) == ("0", "0")
    dense = rows_of(tables["blocks"], model="teacher")[0]
    assert (dense["attention"], dense["feed_forward"]) == (str(4 * 9 * 8), str(9 * 16 + 16 * 8 + 8))


def test_the_tables_and_figures_are_on_the_page(encoders):
    config, root, tables = encoders
    write_report(config, root / "tables", root / "figures", root / "report" / "index.html", root)
    page = (root / "report" / "index.html").read_text()
    for text in ("Self-supervised encoders", "With and without straight-through", "er: not run", "asr"):
        assert text in page
    (score,) = plots.superb(tables).axes
    assert len(score.lines) == 7
    assert len(plots.gates(tables).axes) == 4
    assert len(plots.blocks(tables).axes) == 4


def test_layers_that_are_gone_and_single_steps_are_seen(encoders):
    *_, tables = encoders
    blocks = [row for row in tables["blocks"] if row["model"] in ("teacher", "proposed")]
    first, second = plots.blocks({"blocks": [*blocks[:2], {**blocks[0], "model": "short"}]}).axes
    assert first.get_xlim() == second.get_xlim() == (0.4, 2.6)
    lines = plots.gates({"gates": tables["gates"][:1]}).axes[0].lines
    assert [line.get_marker() for line in lines] == ["o"]


def test_exactly_the_declared_files_are_read(encoders, files_read):
    config, root = encoders[:2]
    assert files_read(config, root) == set(measured(config))
