"""The scripts that prune, train pathways and decode under a mask, on tiny models of two languages.

At a learning rate of 1e-30 no weight but zero changes: what a script saves then is what it started from.
"""

import json
from pathlib import Path

import pytest
import tiny
import torch
from tiny import GREEDY, PLAIN, TEXTS, TOKENS, run_script, write_corpus

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.tensors import load_tensors
from secateur.pruning.engines.mask import Mask, mask_file, masks_of, prunable, save_masks
from secateur.speech.data import SpeechExamples
from secateur.speech.tokens import Tokenizer
from secateur.training import loop as training
from secateur.training.state import FOLDER

PRUNABLE = 6 * 16 * 16  # four matrices of attention, two of the feed-forward layer
TRAINING = tiny.TRAINING | {"learning_rate": 0.05}
STILL = {"learning_rate": 1e-30}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Two languages with training and dev data, and two models that have nothing in common."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    for seed, name in enumerate(("start", "other")):
        torch.manual_seed(seed)
        model = build_model(PLAIN, TOKENS)
        with torch.no_grad():
            for parameter in model.parameters():  # biases of zero would not stay what they are
                parameter += 0.2 * torch.randn_like(parameter)
        save_model(folder / name, model, PLAIN, TOKENS)
    return folder


def fit(name: str, corpus: Path, output: Path, languages: list[str], *arguments: object, **changes: object) -> dict:
    return run_script(
        name, "--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt",
        "--training", json.dumps(TRAINING | changes), "--device", "cpu", "--output", output,
        "--languages", *languages, *arguments,
    )  # fmt: skip


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder).model.state_dict()


def mask_of(folder: Path, flat: torch.Tensor) -> Mask:
    """A mask over the prunable weights of a model from all its bits."""
    model = load_model(folder).model
    mask = Mask({name: tuple(model.get_parameter(name).shape) for name in prunable(model)}, flat)
    assert mask.total == PRUNABLE
    return mask


def drawn(folder: Path, first: int, last: int) -> Mask:
    """The `first` to `last` of all prunable weights in a random order that is always the same."""
    flat = torch.zeros(PRUNABLE, dtype=torch.bool)
    flat[torch.randperm(PRUNABLE, generator=torch.Generator().manual_seed(0))[first:last]] = True
    return mask_of(folder, flat)


def largest(folder: Path, keep: int, within: Mask | None = None) -> Mask:
    """The greatest magnitudes of the prunable weights, by sorting."""
    tensors = state(folder)
    names = mask_of(folder, torch.zeros(PRUNABLE, dtype=torch.bool))
    scores = torch.cat([tensors[name].abs().flatten() for name in names])
    if within is not None:
        scores[~within.flat] = -1
    flat = torch.zeros(PRUNABLE, dtype=torch.bool)
    flat[scores.topk(keep).indices] = True
    return mask_of(folder, flat)


def masked(tensors: dict[str, torch.Tensor], mask: Mask) -> dict[str, torch.Tensor]:
    return tensors | {name: torch.where(bits, tensors[name], 0.0) for name, bits in mask.items()}


def flat(tensors: dict[str, torch.Tensor], mask: Mask, prefix: str = "") -> torch.Tensor:
    """What `tensors` hold for all weights of a mask, in its order."""
    return torch.cat([tensors[prefix + name].flatten() for name in mask])


def assert_same_bytes(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes(), name


@torch.no_grad()
def dev_loss(corpus: Path, tensors: dict[str, dict[str, torch.Tensor]]) -> float:
    """Mean over the dev utterances, one by one, of the loss with the weights of their language."""
    model, losses = load_model(corpus / "start").model, []
    for language, weights in tensors.items():
        folders = [(corpus / "features" / language / "dev", corpus / "data" / language / "dev")]
        examples = SpeechExamples(folders, Tokenizer.load(corpus / "tokens.txt"))
        model.load_state_dict(weights)
        losses += [model(**examples.load([name]).tensors)[0].item() for name in examples.lengths]
    assert len(losses) == sum(len(TEXTS[language]) for language in tensors)
    return sum(losses) / len(losses)


def dev_losses(output: Path) -> list[float]:
    return [float(row["dev_loss"]) for row in read_tsv(output / "history.tsv")]


def moments(output: Path, mask: Mask) -> torch.Tensor:
    """AdamW's two moments of the weights of a mask when training ended, (2, total)."""
    tensors = load_tensors(output / FOLDER / "state.safetensors")
    return torch.stack([flat(tensors, mask, f"optimizer.{key}.") for key in ("exp_avg", "exp_avg_sq")])


def test_a_level_of_lth_ranks_one_model_and_rewinds_to_another(corpus, tmp_path):
    """The trained model's largest weights outside the mask before are larger than any within: they stay removed."""
    before = drawn(corpus / "other", 0, 1000)
    before.save(tmp_path / "before.safetensors")
    trained = load_model(corpus / "other")
    for name, bits in before.items():
        trained.model.get_parameter(name).data[~bits] *= 1000
    save_model(tmp_path / "trained", trained.model, PLAIN, TOKENS)

    record = fit(
        "prune", corpus, tmp_path / "level", ["en"], "--method", "lth", "--start", corpus / "start",
        "--ranked", tmp_path / "trained", "--within", tmp_path / "before.safetensors", "--sparsity", 0.75, **STILL,
    )  # fmt: skip
    mask = Mask.load(mask_file(tmp_path / "level"))
    assert mask == largest(tmp_path / "trained", 384, before)
    assert mask != largest(corpus / "start", 384, before)
    assert_same_bytes(state(tmp_path / "level"), masked(state(corpus / "start"), mask))
    assert (record["sparsity"], record["prunable"], record["steps"]) == (0.75, PRUNABLE, 2)


def test_a_level_of_imp_ranks_the_model_that_it_goes_on_with(corpus, tmp_path):
    options = ["--method", "imp", "--start", corpus / "start", "--sparsity", 0.75]
    fit("prune", corpus, tmp_path, ["en", "fr"], *options)
    mask = largest(corpus / "start", 384)
    assert Mask.load(mask_file(tmp_path)) == mask
    before, after = flat(state(corpus / "start"), mask), flat(state(tmp_path), mask)
    assert torch.all(after[~mask.flat] == 0)
    assert torch.all((after != before)[mask.flat])


@pytest.fixture
def seen(monkeypatch) -> list[dict[str, torch.Tensor]]:
    """The weights at every evaluation, as training left them."""
    seen, evaluate = [], training.evaluate

    def watched(model, *rest):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return evaluate(model, *rest)

    monkeypatch.setattr(training, "evaluate", watched)
    return seen


def test_the_dev_loss_of_straight_through_is_that_of_the_masked_model(corpus, tmp_path, seen):
    options = ["--method", "imp-adaptive", "--sparsity", 0.75, "--adapt-every", 100, "--soft", "straight_through"]
    fit("prune", corpus, tmp_path, ["en"], "--start", corpus / "start", *options)
    mask = largest(corpus / "start", 384)
    first, last = dev_losses(tmp_path)
    assert first == pytest.approx(dev_loss(corpus, {"en": masked(seen[0], mask)}), rel=1e-5)
    assert first != pytest.approx(dev_loss(corpus, {"en": seen[0]}), rel=1e-3), "all weights are trained"
    assert last == pytest.approx(dev_loss(corpus, {"en": state(tmp_path)}), rel=1e-5)


@pytest.mark.parametrize("how", ["keep", "first", "clear"])
def test_an_adaptation_clears_the_moments_of_pruned_weights_or_keeps_them(corpus, tmp_path, how):
    options = ["--method", "lth-adaptive", "--sparsity", 0.75, "--adapt-every", 100, "--moments", how]
    fit("prune", corpus, tmp_path, ["en"], "--start", corpus / "start", *options)
    mask = Mask.load(mask_file(tmp_path))
    assert mask.kept == 384
    for moment, cleared in zip(moments(tmp_path, mask), (how != "keep", how == "clear"), strict=True):
        assert torch.any(moment[mask.flat] != 0)
        assert bool(torch.any(moment[~mask.flat] != 0)) != cleared


@pytest.fixture
def pathways(corpus, tmp_path):
    """Train pathways of two disjoint masks, at a sparsity of 0.625; 384 weights are in neither."""
    masks = {"en": drawn(corpus / "start", 0, 576), "fr": drawn(corpus / "start", 576, 1152)}
    for language, mask in masks.items():
        mask.save(tmp_path / f"{language}.safetensors")

    def run(*arguments: object, **changes: object) -> dict:
        # Not in the order in which languages take turns.
        files = [tmp_path / "fr.safetensors", tmp_path / "en.safetensors"]
        given = ["--start", corpus / "start", "--masks", *files, *arguments]
        return fit("prune", corpus, tmp_path / "out", ["fr", "en"], *given, **changes)

    return masks, run, tmp_path / "out"


FIXED = ["--method", "pathways"]
DYNAMIC = ["--method", "dynamic", "--levels", 0.625, "--adapt-every", 100]


@pytest.mark.parametrize(("before", "trained", "other"), [(0, "en", "fr"), (1, "fr", "en")])
def test_a_batch_trains_the_mask_of_its_own_language(corpus, pathways, before, trained, other):
    """Languages take turns in the order of their names: in one step only one of them is trained."""
    masks, run, output = pathways
    record = run(*FIXED, "--before", before, steps=1)
    old, new = flat(state(corpus / "start"), masks["en"]), flat(state(output), masks["en"])
    assert torch.all((new != old)[masks[trained].flat])
    assert torch.equal(new[masks[other].flat], old[masks[other].flat])
    assert torch.all(new[~(masks["en"] | masks["fr"]).flat] == 0)
    assert {file.name for file in mask_file(output).parent.iterdir()} == {"en.safetensors", "fr.safetensors"}
    assert {language: Mask.load(mask_file(output, language)) for language in masks} == masks
    assert masks_of(output) == {language: mask_file(output, language) for language in masks}
    assert record["sparsity"] == {"fr": 0.625, "en": 0.625}


@pytest.mark.parametrize("options", [FIXED, DYNAMIC], ids=["fixed", "dynamic"])
def test_the_dev_loss_of_pathways_is_that_of_every_language_under_its_mask(corpus, pathways, options, seen):
    masks, run, output = pathways
    run(*options)
    after = {language: Mask.load(mask_file(output, language)) for language in masks}
    assert (after == masks) == (options == FIXED)
    first, last = dev_losses(output)
    wanted = dev_loss(corpus, {language: masked(seen[0], mask) for language, mask in masks.items()})
    assert first == pytest.approx(wanted, rel=1e-5)
    wanted = dev_loss(corpus, {language: masked(state(output), mask) for language, mask in after.items()})
    assert last == pytest.approx(wanted, rel=1e-5)
    for wrong in (
        {"en": seen[0], "fr": seen[0]},
        dict.fromkeys(masks, masked(seen[0], masks["en"] | masks["fr"])),
        {"en": masked(seen[0], masks["fr"]), "fr": masked(seen[0], masks["en"])},
    ):
        assert first != pytest.approx(dev_loss(corpus, wrong), rel=1e-3)


@pytest.mark.parametrize("how", ["keep", "first", "clear"])
def test_dynamic_pathways_clear_the_moments_of_weights_that_leave_all_masks_or_keep_them(pathways, how):
    masks, run, output = pathways
    run(*DYNAMIC, "--moments", how)
    after = Mask.load(mask_file(output, "en")) | Mask.load(mask_file(output, "fr"))
    left = (masks["en"] | masks["fr"]) & ~after
    assert left.kept > 0, "at this learning rate weights outside the masks grow larger than some within"
    for moment, cleared in zip(moments(output, left), (how != "keep", how == "clear"), strict=True):
        assert torch.any(moment[after.flat] != 0)
        assert bool(torch.any(moment[left.flat] != 0)) != cleared


def test_decoding_runs_the_model_under_the_mask(corpus, tmp_path):
    """A mask that removes all prunable weights gives what a model without them gives, and nothing else does."""
    nothing = drawn(corpus / "start", 0, 0)
    nothing.save(tmp_path / "nothing.safetensors")
    model = load_model(corpus / "start").model
    nothing.apply_(model)
    save_model(tmp_path / "emptied", model, PLAIN, TOKENS)

    pruned = hypotheses(corpus, corpus / "start", tmp_path, "--mask", tmp_path / "nothing.safetensors")
    assert pruned == hypotheses(corpus, tmp_path / "emptied", tmp_path)
    assert pruned != hypotheses(corpus, corpus / "start", tmp_path)


def hypotheses(corpus: Path, model: Path, folder: Path, *more: object) -> list[str]:
    """What a model hears in the English dev data."""
    run_script(
        "decode", "--model", model, "--data", corpus / "data" / "en" / "dev", "--search", json.dumps(GREEDY),
        "--features", corpus / "features" / "en" / "dev", "--device", "cpu", "--output", folder / "out", *more,
    )  # fmt: skip
    return [row["hypothesis"] for row in read_tsv(folder / "out" / "hypotheses.tsv")]


@pytest.fixture
def with_masks(corpus, tmp_path):
    """Save the model `start` with masks, by language or for all."""

    def save(**masks: Mask) -> Path:
        save_model(tmp_path / "model", load_model(corpus / "start").model, PLAIN, TOKENS)
        save_masks(tmp_path / "model", masks)
        return tmp_path / "model"

    return save


def test_a_model_that_lists_one_mask_is_decoded_under_it(corpus, tmp_path, with_masks):
    model = with_masks(all=drawn(corpus / "start", 0, 0))
    pruned = hypotheses(corpus, model, tmp_path)
    assert pruned == hypotheses(corpus, model, tmp_path, "--languages", "en")
    assert pruned != hypotheses(corpus, corpus / "start", tmp_path)


def test_a_model_that_lists_a_mask_for_each_language_is_decoded_under_that_of_the_data(corpus, tmp_path, with_masks):
    model = with_masks(en=drawn(corpus / "start", 0, 0), fr=drawn(corpus / "start", 0, PRUNABLE))
    english, french = (hypotheses(corpus, model, tmp_path, "--languages", code) for code in ("en", "fr"))
    assert english != french == hypotheses(corpus, corpus / "start", tmp_path)
    for found, options in (("none", []), ("'de'", ["--languages", "de"])):
        wanted = rf"model: the model has one mask per language; --languages: {found}, wanted one of en, fr$"
        with pytest.raises(SecateurError, match=wanted):
            hypotheses(corpus, model, tmp_path, *options)


def test_masks_that_a_model_does_not_list_are_not_overlooked(corpus, tmp_path, with_masks):
    model = with_masks(en=drawn(corpus / "start", 0, 0), fr=drawn(corpus / "start", 0, PRUNABLE))
    save_model(model, load_model(model).model, PLAIN, TOKENS)
    with pytest.raises(SecateurError, match=r"model.json: lists no masks, but some lie beside it; delete them or"):
        hypotheses(corpus, model, tmp_path, "--languages", "en")


def test_dense_controls_are_trained_on_and_list_no_mask(corpus, tmp_path):
    record = fit("prune", corpus, tmp_path / "longer", ["en"], "--method", "longer", "--start", corpus / "start")
    assert masks_of(tmp_path / "longer") == {} and "sparsity" not in record
    assert not (tmp_path / "longer" / "masks").exists()
    before, after = state(corpus / "start"), state(tmp_path / "longer")
    assert all(
        torch.any(after[name] != before[name]) for name in mask_of(corpus / "start", torch.zeros(PRUNABLE).bool())
    )


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["imp"], "--method imp needs --sparsity"),
        (["imp-adaptive", "--sparsity", 0.5], "--method imp-adaptive needs --adapt-every"),
        (["pathways"], "--method pathways needs --masks"),
        (["dynamic", "--adapt-every", 1, "--masks", "m"], "--method dynamic needs --levels"),
        (["pathways", "--masks", "m", "n"], "--masks: 2 masks of 1 languages; wanted one for each of --languages"),
    ],
)
def test_a_method_says_what_it_needs(corpus, tmp_path, options, wanted):
    with pytest.raises(SecateurError, match=wanted):
        fit("prune", corpus, tmp_path, ["en"], "--start", corpus / "start", "--method", *options)


def test_levels_that_do_not_divide_the_steps_are_refused(pathways):
    _, run, _ = pathways
    with pytest.raises(SecateurError, match="--training: 2 steps; wanted a multiple of the 3 levels"):
        run("--method", "dynamic", "--levels", 0.625, 0.7, 0.8, "--adapt-every", 1)


def test_late_regularisers_start_from_the_dense_weights_and_record_the_jump(corpus, tmp_path):
    intermediate = {"layers": [1], "weight": 0.5}
    config = PLAIN | {"encoder": PLAIN["encoder"] | {"layers": 2}}
    torch.manual_seed(0)
    model = build_model(config, TOKENS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    save_model(tmp_path / "dense", model, config, TOKENS)
    record = fit(
        "finetune", corpus, tmp_path / "late", ["en", "fr"], "--start", tmp_path / "dense",
        "--intermediate-ctc", json.dumps(intermediate), "--stochastic-depth", 0.4, "--rise", 2, **STILL,
    )  # fmt: skip
    assert_same_bytes(state(tmp_path / "late"), state(tmp_path / "dense"))
    late = load_model(tmp_path / "late")
    assert (late.config["intermediate_ctc"], late.config["stochastic_depth"]) == (intermediate, 0.4)
    # A rate of 1e-30 changes nothing, so the loss at the end is that before the first step, by the last layer alone.
    assert dev_losses(tmp_path / "late")[-1] == pytest.approx(record["initial_loss"])
    assert record["initial_loss"] != pytest.approx(record["regularised_loss"], rel=1e-3)


def test_a_pruned_model_learns_from_the_dense_one(corpus, tmp_path):
    """By its posteriors alone (weight 1): of a teacher that it equals it has little to learn, only its own dropout."""
    options = ["--method", "lth", "--start", corpus / "start", "--sparsity", 0.0, "--distil", 1.0]
    losses = {}
    for teacher in ("start", "other"):
        output = tmp_path / teacher
        fit("prune", corpus, output, ["en"], *options, "--teacher", corpus / teacher, steps=1)
        losses[teacher] = float(read_tsv(output / "history.tsv")[0]["train_loss"])
    assert 0 < losses["start"] < losses["other"] / 4
