"""The scripts around heads, one after another as the workflow runs them, on a tiny hybrid model of two languages."""

import json
from pathlib import Path

import onnxruntime
import pytest
import torch
from small_models import HYBRID, TOKENS, make_batch, make_model
from tiny import CTC, GREEDY, LM, TEXTS, TRAINING, with_encoder, write_corpus
from tiny import run_script as run

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_json
from secateur.decoding.timing import CONDITIONS, RATIO, SAME, latency, latency_intervals, relative_time
from secateur.heads import removals
from secateur.heads.importance import read_importance
from secateur.heads.options import IMPORTANCES
from secateur.heads.order import removal_order
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model, stored_bytes
from secateur.models.load import load_model
from secateur.models.surgery.heads import Head, heads, masked
from secateur.pruning.engines.mask import Mask, mask_file

AXES = ("group", "system", "search", "sub_model")
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.4, "lm_weight": 0.3, "length_bonus": 0.5}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    save_model(folder / "model", make_model(HYBRID), HYBRID, TOKENS)
    torch.manual_seed(0)
    save_model(folder / "lm", build_model(LM, TOKENS), LM, TOKENS)
    run("head_importance", *model_of(folder), *data_of(folder), "--again", 5, "--output", folder / "importance.tsv")
    run("head_times", *model_of(folder), *data_of(folder), "--repeats", 2, "--output", folder / "times.json")
    return folder


def model_of(corpus):
    return "--model", corpus / "model", "--tokens", corpus / "tokens.txt", "--device", "cpu"


def data_of(corpus, split="dev"):
    folders = ([corpus / kind / language / split for language in TEXTS] for kind in ("data", "features"))
    data, features = folders
    return "--data", *data, "--features", *features


def prune(corpus, output, *arguments):
    given = ("--model", corpus / "model", "--importances", corpus / "importance.tsv", "--output", output)
    return run("prune_heads", *given, *arguments)


def test_one_file_has_every_importance(corpus, tmp_path):
    rows = read_tsv(corpus / "importance.tsv")
    assert list(rows[0]) == ["block", "layer", "head", "importance", "value"]
    present = heads(load_model(corpus / "model").model)
    for importance in IMPORTANCES:
        assert list(read_importance(corpus / "importance.tsv", importance)) == present
    given = (*model_of(corpus), *data_of(corpus))
    record = run("head_importance", *given, "--utterances", 2, "--output", tmp_path / "i.tsv")
    assert record["utterances"] == {"en": 2, "fr": 2}
    assert {row["importance"] for row in read_tsv(tmp_path / "i.tsv")} == set(IMPORTANCES) - {"gradient-again"}
    for batch_seconds in (0.4, 5):  # alone, and all together
        run("head_importance", *given, "--batch-seconds", batch_seconds, "--output", tmp_path / f"{batch_seconds}.tsv")
    alone, together = (read_importance(tmp_path / f"{seconds}.tsv", "gradient") for seconds in (0.4, 5))
    assert alone == pytest.approx(together, rel=1e-3)


def test_the_order_is_estimated_again_on_other_utterances(corpus, tmp_path):
    stable = tmp_path / "stability.json"
    given = (*model_of(corpus), *data_of(corpus), "--stability", stable, "--shares", 0.25, 1)
    run("head_importance", *given, "--output", tmp_path / "i.tsv")
    found = read_json(stable)
    assert found["utterances"] == {"en": 3, "fr": 2} and found["shares"] == [0.25, 1.0]
    assert list(found["importances"]) == ["gradient", "gradient-layer-l2", "gradient-layer-max"]
    for one in found["importances"].values():
        quarter, everything = one["first"]
        assert (quarter["k"], everything["k"]) == (4, 17) and everything["same"] == everything["overlap"] == 1.0
        assert 0 <= quarter["same"] <= quarter["overlap"] <= 1 and one["rank_correlation"] <= 1
    assert (tmp_path / "i.tsv").read_text() == "".join(
        line
        for line in (corpus / "importance.tsv").read_text().splitlines(keepends=True)
        if "gradient-again" not in line
    )


def test_times_are_of_utterances_of_the_usual_length(corpus):
    times = read_json(corpus / "times.json")
    assert (times["frames"], times["steps"], times["beam"]) == (40, 4, 5)  # of 4, 3, 4, 2 and 5 tokens
    assert {block: len(seconds) for block, seconds in times["seconds"].items()} == {
        "encoder-self": 4,
        "decoder-self": 3,
        "decoder-source": 3,
    }


@pytest.mark.parametrize("policy", ["global", "per-layer", "by-layer", "latency-aware"])
def test_a_share_of_the_heads_is_removed(corpus, tmp_path, policy):
    times = ("--times", corpus / "times.json") if policy == "latency-aware" else ()
    whole = load_model(corpus / "model").model
    before = set()
    for share, count in ((0, 0), (0.25, 4), (0.5, 9), (1, 17)):
        output = tmp_path / str(share)
        record = prune(corpus, output, "--policy", policy, "--share", share, *times)
        assert (record["heads"], record["heads_removed"]) == (17, count)
        removed = [Head(**head) for head in read_json(output / "removed.json")["removed"]]
        assert before <= set(removed)
        before = set(removed)
        smaller = load_model(output).model
        assert heads(smaller) == [head for head in heads(whole) if head not in removed]
        with masked(whole, removed):
            expected = whole(**make_batch().tensors)[0]
        torch.testing.assert_close(smaller(**make_batch().tensors)[0], expected, rtol=1e-4, atol=1e-4)
    assert (tmp_path / "1" / "model.safetensors").stat().st_size < (tmp_path / "0" / "model.safetensors").stat().st_size


def test_a_model_that_would_compute_something_else_is_not_written(corpus, tmp_path, monkeypatch):
    from secateur.models.surgery import heads as module

    keep = module._keep
    monkeypatch.setattr(module, "_keep", lambda attention, numbers: keep(attention, [n % 2 + 1 for n in numbers][:1]))
    with pytest.raises(SecateurError, match="is off the masked one's"):
        prune(corpus, tmp_path / "pruned", "--share", 0.2)
    assert not (tmp_path / "pruned").exists()


def test_importances_of_another_model_are_refused(corpus, tmp_path):
    prune(corpus, tmp_path / "pruned", "--share", 0.2)
    given = ("--model", tmp_path / "pruned", "--importances", corpus / "importance.tsv", "--output", tmp_path / "again")
    with pytest.raises(SecateurError, match="is of other heads than"):
        run("prune_heads", *given, "--share", 0.2)


def test_a_smaller_model_goes_through_the_other_scripts(corpus, tmp_path):
    """It is trained on, pruned further, both of weights and of heads, cut, and exported."""
    prune(corpus, tmp_path / "pruned", "--policy", "by-layer", "--share", 0.3)  # all of layer 1, two of layer 2
    smaller = load_model(tmp_path / "pruned")
    assert heads(smaller.model)[0].layer == 2

    def train(start, output, sparsity):
        return run(
            "prune", "--method", "imp", "--start", start, "--sparsity", sparsity,
             "--training", json.dumps(TRAINING), "--device", "cpu",
            "--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt",
            "--languages", *TEXTS, "--output", output,
        )  # fmt: skip

    for sparsity in (0, 0.5):
        output = tmp_path / f"trained-{sparsity}"
        train(tmp_path / "pruned", output, sparsity)
        trained = load_model(output)
        assert heads(trained.model) == heads(smaller.model)
        assert trained.config == smaller.config
        assert not torch.equal(trained.model(**make_batch().tensors)[0], smaller.model(**make_batch().tensors)[0])
        Mask.load(mask_file(output)).check(trained.model)

    recovered = tmp_path / "trained-0"
    run("head_importance", "--model", recovered, "--tokens", corpus / "tokens.txt", *data_of(corpus), "--device", "cpu",
        "--output", tmp_path / "importance.tsv")  # fmt: skip
    run("prune_heads", "--model", recovered, "--importances", tmp_path / "importance.tsv", "--share", 0.5,
        "--output", tmp_path / "twice")  # fmt: skip
    twice = heads(load_model(tmp_path / "twice").model)
    assert len(twice) == len(heads(smaller.model)) - 6
    assert set(twice) < set(heads(smaller.model))

    run("export_depth", "--model", tmp_path / "twice", "--keep", 1, 3, "--output", tmp_path / "cut")
    assert heads(load_model(tmp_path / "cut").model) == [
        head for head in twice if head.block != "encoder-self" or head.layer != 2
    ]
    record = run("export_onnx", "--model", tmp_path / "cut", "--output", tmp_path / "cut.onnx")
    assert 0 <= record["difference"] < 1e-3
    inputs = onnxruntime.InferenceSession(tmp_path / "cut.onnx").get_inputs()
    assert [given.name for given in inputs] == ["speech", "speech_lengths"]


def test_one_file_has_the_sets_of_all_systems_each_once(corpus, tmp_path):
    given = ("head_removals", "--model", corpus / "model", "--importances", corpus / "importance.tsv")
    file = tmp_path / "removals.json"
    systems = ["gradient/global", "gradient/latency-aware", "gradient-min-max/global", "random/by-layer"]
    times = tmp_path / "times.json"  # of which one block's are in doubt
    doubts = {"encoder-self": {"doubt": "the same model timed twice differs"}, "decoder-self": {"doubt": ""}}
    write_json(times, read_json(corpus / "times.json") | {"soundness": doubts})
    run(*given, "--times", times, "--systems", *systems, "--shares", 0.3, 1, "--output", file)
    found = read_json(file)
    assert found["doubts"] == {"latency-aware": "encoder-self: the same model timed twice differs"}
    assert [(row["importance"], row["policy"], row["share"], row["heads_removed"]) for row in found["systems"]] == [
        (*system.split("/"), share, count) for system in systems for share, count in ((0.3, 5), (1, 17))
    ]
    names = {(row["importance"], row["policy"], row["share"]): row["set"] for row in found["systems"]}
    # Scaled from 0 to 1 the order is the same, and all heads are all heads.
    assert names["gradient-min-max", "global", 0.3] == "gradient global 0.3"
    assert names["random", "by-layer", 1] == "gradient global 1"
    assert set(names.values()) == set(found["sets"])
    whole = load_model(corpus / "model").model
    for name, compacted in removals.sub_models(whole, file):
        removed = [Head(*head) for head in found["sets"][name]["removed"]]
        assert heads(compacted) == [head for head in heads(whole) if head not in removed]
        assert found["sets"][name]["parameters"] == sum(parameter.numel() for parameter in compacted.parameters())
        assert found["sets"][name]["bytes"] == stored_bytes(compacted) > 4 * found["sets"][name]["parameters"]
    assert found["whole"]["heads"] == 17 and found["whole"]["parameters"] > found["sets"][name]["parameters"]

    importances = {name: read_importance(corpus / "importance.tsv", name) for name in ("gradient", "random")}
    order = removal_order("by-layer", importances["random"])
    sets = found["sets"][names["random", "by-layer", 0.3]]["removed"]
    assert [Head(*head) for head in sets] == order[:5]
    with pytest.raises(SecateurError, match="--systems: 'gradient'; give IMPORTANCE/POLICY"):
        run(*given, "--systems", "gradient", "--shares", 0.3, "--output", file)


def test_all_sets_are_decoded_in_one_process_as_each_would_be_alone(corpus, tmp_path):
    file = tmp_path / "removals.json"
    run("head_removals", "--model", corpus / "model", "--importances", corpus / "importance.tsv", "--systems",
        "gradient/global", "--shares", 0.4, 0.8, "--output", file)  # fmt: skip
    data = ("--data", corpus / "data/en/dev", "--features", corpus / "features/en/dev", "--device", "cpu")
    search = ("--search", json.dumps(BEAM | {"lm": None, "lm_weight": 0.0}))
    run("decode", "--model", corpus / "model", *data, *search, "--heads", file, "--output", tmp_path / "all")
    rows = read_tsv(tmp_path / "all" / "hypotheses.tsv")
    assert [row["sub_model"] for row in rows] == ["gradient global 0.4"] * 3 + ["gradient global 0.8"] * 3
    for share in (0.4, 0.8):
        prune(corpus, tmp_path / "one", "--share", share)
        run("decode", "--model", tmp_path / "one", *data, *search, "--output", tmp_path / "alone")
        alone = [row["hypothesis"] for row in read_tsv(tmp_path / "alone" / "hypotheses.tsv")]
        assert [row["hypothesis"] for row in rows if row["sub_model"] == f"gradient global {share:g}"] == alone
    run("score", "--hypotheses", tmp_path / "all" / "hypotheses.tsv", "--output", tmp_path / "all")
    assert set(read_json(tmp_path / "all" / "score.json")) == {"gradient global 0.4", "gradient global 0.8"}
    with pytest.raises(SecateurError, match="give one of --layers, --heads, --exits and --onnx"):
        run("decode", "--model", corpus / "model", *data, *search, "--heads", file, "--layers", file, "--output", file)


def test_a_smaller_model_recovers_without_a_mask(corpus, tmp_path):
    prune(corpus, tmp_path / "pruned", "--share", 0.5)
    record = run(
        "finetune", "--start", tmp_path / "pruned", "--training", json.dumps(TRAINING), "--device", "cpu",
        "--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt",
        "--languages", *TEXTS, "--output", tmp_path / "recovered",
    )  # fmt: skip
    smaller, recovered = load_model(tmp_path / "pruned"), load_model(tmp_path / "recovered")
    assert heads(recovered.model) == heads(smaller.model) and recovered.config == smaller.config
    assert not (tmp_path / "recovered" / "masks").exists()
    assert record["initial_loss"] > 0 and "dense_loss" not in record
    assert not torch.equal(recovered.model(**make_batch().tensors)[0], smaller.model(**make_batch().tensors)[0])


def finetune(corpus, start, output, *arguments):
    return run(
        "finetune", "--start", start, "--training", json.dumps(TRAINING | {"steps": 4, "average_best": 2}), "--device",
        "cpu", "--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt",
        "--languages", *TEXTS, "--output", output, *arguments,
    )  # fmt: skip


def test_of_several_rates_that_with_the_lowest_dev_loss_is_kept(corpus, tmp_path):
    """Which is that of a training with this rate alone, to the byte; and of rates that ruin a model, none."""
    prune(corpus, tmp_path / "pruned", "--share", 0.5)
    record = finetune(corpus, tmp_path / "pruned", tmp_path / "several", "--rates", 30.0, 0.003, 0.0001)
    losses = {trial["rate"]: trial["dev_loss"] for trial in record["trials"]}
    assert list(losses) == [30.0, 0.003, 0.0001] and losses[30.0] > record["initial_loss"] > losses[0.003]
    assert record["rate"] == min(losses, key=losses.get) == 0.003
    alone = finetune(corpus, tmp_path / "pruned", tmp_path / "alone", "--rates", 0.003)
    assert alone["trials"] == [{"rate": 0.003, "dev_loss": losses[0.003]}]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("several", "alone")]
    assert weights[0] == weights[1]
    ruined = finetune(corpus, tmp_path / "pruned", tmp_path / "ruined", "--rates", 30.0)
    assert ruined["rate"] == 0.0 and ruined["trials"][0]["dev_loss"] > ruined["initial_loss"]
    before, after = (load_model(tmp_path / name).model.state_dict() for name in ("pruned", "ruined"))
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_rates_that_are_no_rates_are_refused(corpus, tmp_path):
    for rates in ((0.1, 0.1), (0.0,)):
        with pytest.raises(SecateurError, match="wanted different rates above 0"):
            finetune(corpus, corpus / "model", tmp_path / "none", "--rates", *rates)
    with pytest.raises(SecateurError, match="one rate is used"):
        finetune(corpus, corpus / "model", tmp_path / "none", "--rates", 0.1, "--stochastic-depth", 0.1)


def test_a_smaller_model_learns_from_the_whole_one(corpus, tmp_path):
    """With weight 1, the training loss is how far it is from that one, which falls."""
    calm = with_encoder(HYBRID, dropout=0.0) | {"stochastic_depth": 0.0}
    save_model(tmp_path / "whole", make_model(calm), calm, TOKENS)
    prune(corpus, tmp_path / "pruned", "--share", 0.5, "--model", tmp_path / "whole")
    training = ("--training", json.dumps(TRAINING | {"steps": 20}))
    finetune(
        corpus, tmp_path / "pruned", tmp_path / "taught", *training, "--teacher", tmp_path / "whole", "--distil", 1
    )
    losses = [float(row["train_loss"]) for row in read_tsv(tmp_path / "taught" / "history.tsv")]
    assert 0 < sum(losses[-3:]) < 0.5 * sum(losses[:3])
    other = CTC | {"stochastic_depth": 0.0}
    tokens = [*TOKENS[:-1], "d", TOKENS[-1]]
    save_model(tmp_path / "other", build_model(other, tokens), other, tokens)
    with pytest.raises(SecateurError, match="another token list"):
        finetune(corpus, tmp_path / "pruned", tmp_path / "none", "--teacher", tmp_path / "other")


def test_systems_are_timed_in_rounds_and_compared(corpus, tmp_path):
    """In two groups; the whole model with an LM and without, its sets of heads, and one that is a checkpoint."""
    prune(corpus, tmp_path / "pruned", "--share", 1)
    run(
        "head_removals", "--model", corpus / "model", "--importances", corpus / "importance.tsv", "--systems",
        "gradient/global", "random/by-layer", "--shares", 0.5, 1, "--output", tmp_path / "removals.json",
    )  # fmt: skip
    heads_of = {"heads": str(tmp_path / "removals.json")}
    whole = {"model": str(corpus / "model"), "searches": {"beam": heads_of, "beam-lm": {"lm": str(corpus / "lm")}}}
    whole["searches"]["greedy"] = {}
    systems = {"pruned": {"model": str(tmp_path / "pruned"), "searches": {"greedy": {}}}, "whole": whole}
    searches = {"beam-lm": BEAM | {"lm": "lm"}, "beam": BEAM | {"lm": None, "lm_weight": 0.0}, "greedy": GREEDY}
    groups = {
        "quick": {"searches": ["greedy"], "utterances": 4, "rounds": 2},
        "beam": {"searches": ["beam", "beam-lm"], "utterances": 2, "rounds": 3},
    }
    given = {"--systems": systems, "--searches": searches, "--groups": groups}
    words = [word for name, value in given.items() for word in (name, json.dumps(value))]
    record = run(
        "timing", "--reference", "whole", *words, *data_of(corpus),
        "--device", "cpu", "--output", tmp_path / "timing",
    )  # fmt: skip
    rows = read_tsv(tmp_path / "timing" / "timing.tsv")
    names = [(row["group"], row["system"], row["search"], row["sub_model"]) for row in rows]
    sets = ["", "gradient global 0.5", "gradient global 1", "random by-layer 0.5"]
    assert names == [
        ("quick", "pruned", "greedy", ""), ("quick", "whole", "greedy", ""), ("quick", "whole", "greedy", "A/A"),
        *(("beam", "whole", "beam", name) for name in sets), ("beam", "whole", "beam-lm", ""),
        ("beam", "whole", "beam", "A/A"),
    ]  # fmt: skip
    assert record["systems"] == len(rows) and record["seed"] == 1
    assert [(row["utterances"], row["rounds"]) for row in rows] == [("4", "2")] * 3 + [("2", "3")] * 6
    utterances = read_tsv(tmp_path / "timing" / "utterances.tsv")
    assert len(utterances) == 3 * 4 * 2 + 6 * 2 * 3
    found = dict(zip(names, rows, strict=True))
    for name, row in found.items():
        mine = [other for other in utterances if tuple(other[axis] for axis in AXES) == name]
        result, ends = latency(mine), latency_intervals(mine)
        assert float(row["total_s"]) == pytest.approx(result["total_s"])
        assert [float(row["rtf_low"]), float(row["rtf_high"])] == pytest.approx(ends["rtf"])
        assert (float(row["lm_s"]) > 0) == (name[2] == "beam-lm")
        # Each against the whole model with its own search, and A/A against the first time of the same.
        base = [
            other for other in utterances if tuple(other[axis] for axis in AXES) == (*name[:1], "whole", name[2], "")
        ]
        assert [float(row[column]) for column in RATIO] == pytest.approx(relative_time(mine, base))
    for group in groups:
        members = [row for row in rows if row["group"] == group]
        assert [members[-1][column] for column in RATIO] == [members[0][column] for column in SAME]
        assert len({tuple(row[column] for column in CONDITIONS) for row in members}) == 1
    groups["beam"]["searches"] = ["other"]
    words[-1] = json.dumps(groups)
    with pytest.raises(SecateurError, match="no system has a search of the group 'beam'; leave the group out"):
        run(
            "timing", "--reference", "whole", *words,
            *data_of(corpus), "--device", "cpu", "--output", tmp_path / "timing",
        )  # fmt: skip


def test_weights_are_tuned_for_each_language_model_and_used(corpus, tmp_path):
    searches = {"beam": BEAM | {"lm": None}, "beam-lm": BEAM | {"lm": "lm"}}
    grid = ("--lm-weights", 0.2, 0.4, "--length-bonuses", 0.0, 0.5, "--widen", 1)
    given = ("--model", corpus / "model", *data_of(corpus), "--searches", json.dumps(searches), *grid)
    lms = json.dumps({"beam-lm": str(corpus / "lm")})
    record = run("tune_lms", *given, "--lms", lms, "--device", "cpu", "--output", tmp_path / "tuning.json")
    found = read_json(tmp_path / "tuning.json")
    assert found["utterances"] == record["utterances"] == 5 and list(found["searches"]) == ["beam", "beam-lm"]
    assert {pair["lm_weight"] for pair in found["searches"]["beam"]["grid"]} == {0.0}
    for one in found["searches"].values():
        best = min(one["grid"], key=lambda pair: (pair["wer"], pair["cer"]))
        chosen = next(
            pair for pair in one["grid"] if all(pair[key] == one[key] for key in ("lm_weight", "length_bonus"))
        )
        assert (chosen["wer"], chosen["cer"]) == (best["wer"], best["cer"])
        assert one["decodings"] == 5 * len(one["grid"])
    with pytest.raises(SecateurError, match="give the folder of the one named"):
        run("tune_lms", *given, "--output", tmp_path / "none.json")
    # The error rates noted are those of decoding with the same pair.
    data = ("--data", corpus / "data/en/dev", "--features", corpus / "features/en/dev", "--device", "cpu")
    write_json(tmp_path / "one.json", {"searches": {"x": {"lm_weight": 0.4, "length_bonus": -3.0}}})
    common = ("--model", corpus / "model", *data, "--lm", corpus / "lm")
    run("decode", *common, "--search", json.dumps(searches["beam-lm"]), "--tuned", tmp_path / "one.json",
        "--tuned-as", "x", "--output", tmp_path / "tuned")  # fmt: skip
    by_hand = json.dumps(searches["beam-lm"] | {"lm_weight": 0.4, "length_bonus": -3.0})
    run("decode", *common, "--search", by_hand, "--output", tmp_path / "by-hand")
    rows = [read_tsv(tmp_path / name / "hypotheses.tsv") for name in ("tuned", "by-hand")]
    assert rows[0] == rows[1]
