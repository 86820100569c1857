"""Early exit: equal to fixed depths at its ends and in between, independent of the batch, and its measures by hand."""

from math import inf, log

import numpy as np
import pytest
import torch
from small_models import CONFORMER, EMFORMER, HYBRID, TRANSFORMER, make_batch, make_model
from tiny import TOKENS, with_encoder

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Features, Recognizer, decode, encode
from secateur.exits.choice import FREE, Seen, fixed, left_at, look, outcome, points, thresholds
from secateur.exits.encoder import UNLIKE, Exit, Heard, disagreement, early_exit, greedy, measured
from secateur.exits.points import arithmetic, chosen, exit_of, mean_macs
from secateur.layers.dev import Dev
from secateur.layers.export import export
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.layers import keep_layers
from secateur.speech.tokens import Tokenizer

DEEP = {"layers": 4}
KINDS = {
    name: with_encoder(config, **DEEP) | {"intermediate_ctc": {"layers": [1, 3], "weight": 0.4}}
    for name, config in {"transformer": TRANSFORMER, "conformer": CONFORMER, "hybrid": HYBRID}.items()
}
EVERY_KIND = pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
SEARCH = {"type": "ctc_greedy", "batch": 4, "batch_frames": 1000}


def encoded(model, batch=None):
    """Encoder output, its lengths, and the log-posteriors within the lengths of each utterance."""
    batch = batch or make_batch()
    with torch.inference_mode():
        output, lengths = encode(model, batch.tensors["speech"], batch.tensors["speech_lengths"])
        log_probs = model.ctc.log_softmax(output)
    return [one[:length] for one, length in zip(log_probs, lengths.tolist(), strict=True)]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


@EVERY_KIND
def test_infinity_is_the_first_head_and_zero_the_whole_model(config):
    model = make_model(config)
    for measure in ("entropy", "agreement"):
        first = early_exit(model, Exit((1, 3), measure, inf))
        close(encoded(first), encoded(keep_layers(make_model(config), [1])))
        assert first.encoder.left_at == [1] * 4
        never = early_exit(model, Exit((1, 3), measure, 0.0))
        close(encoded(never), encoded(model))
        assert never.encoder.left_at == [4] * 4


@EVERY_KIND
def test_left_at_a_depth_on_demand_at_that_depth_and_exported_are_one(config, tmp_path):
    model = make_model(config)
    save_model(tmp_path / "whole", model, config, TOKENS)
    exported = export(tmp_path / "whole", [1, 2, 3], tmp_path / "cut")
    left = encoded(early_exit(model, Exit((3,))))
    close(left, encoded(keep_layers(make_model(config), [1, 2, 3])))
    close(left, encoded(load_model(tmp_path / "cut").model))
    assert exported.config["encoder"]["kept"] == [1, 2, 3]


@EVERY_KIND
def test_every_utterance_leaves_by_its_own_measure_and_no_other_utterance_matters(config):
    """A threshold between the measures of the first head: what leaves there and what goes on, together and alone."""
    model = make_model(config)
    entropies = measured("entropy", heard_of(encoded(keep_layers(make_model(config), [1]))), None)
    threshold = float(entropies.sort().values[1:3].mean())
    leaving = early_exit(model, Exit((1,), "entropy", threshold))
    together = encoded(leaving)
    wanted = [1 if value < threshold else 4 for value in entropies.tolist()]
    assert leaving.encoder.left_at == wanted and set(wanted) == {1, 4}
    deep, shallow = encoded(model), encoded(keep_layers(make_model(config), [1]))
    close(together, [shallow[place] if layer == 1 else deep[place] for place, layer in enumerate(wanted)])
    for place, layer in enumerate(wanted):
        close(encoded(leaving, make_batch([place])), together[place : place + 1])
        assert leaving.encoder.left_at == [layer]


def heard_of(found):
    lengths = torch.tensor([len(one) for one in found])
    log_probs = torch.nn.utils.rnn.pad_sequence(found, batch_first=True)
    return Heard(log_probs, lengths, greedy(log_probs, lengths))


def test_agreement_is_of_two_heads_after_one_another():
    config = KINDS["conformer"]
    first, second = (heard_of(encoded(keep_layers(make_model(config), range(1, n + 1)))) for n in (1, 3))
    unlike = [disagreement(*pair) for pair in zip(first.tokens, second.tokens, strict=True)]
    assert measured("agreement", first, None).tolist() == [UNLIKE] * 4
    assert measured("agreement", second, first.tokens).tolist() == pytest.approx(unlike)
    threshold = sorted(unlike)[2]
    leaving = early_exit(make_model(config), Exit((1, 3), "agreement", threshold))
    encoded(leaving)
    assert leaving.encoder.left_at == [3 if value < threshold else 4 for value in unlike]


def test_entropy_and_disagreement_by_hand():
    certain, even = [1.0, 0.0], [0.5, 0.5]
    frames = torch.tensor([[certain, even], [even, even]]).clamp(min=1e-12).log()
    heard = Heard(frames, torch.tensor([2, 1]), [])
    assert measured("entropy", heard, None).tolist() == pytest.approx([log(2) / 2, log(2)])
    assert disagreement([1, 2, 3], [1, 3]) == pytest.approx(1 / 3)
    assert disagreement([1, 2], [3]) == 1 and disagreement([], []) == 0 and disagreement([], [4]) == 1
    assert greedy(torch.eye(3)[torch.tensor([[1, 1, 0, 1, 2]])].log(), torch.tensor([4])) == [[1, 1]]


def test_searches_know_where_every_utterance_left():
    model = make_model(KINDS["conformer"])
    batch = make_batch()
    features = Features({str(number): batch.tensors["speech"][number].numpy() for number in range(4)})
    leaving = early_exit(model, Exit((1,)))
    results = decode(Recognizer(leaving, Tokenizer(TOKENS)), features, SEARCH)
    assert [one.layers for one in results.values()] == [1] * 4
    assert [one.layers for one in decode(Recognizer(model, Tokenizer(TOKENS)), features, SEARCH).values()] == [None] * 4


SEEN = Seen(
    layers=(2, 4, 6),
    frames=[10, 30],
    words=[4, 6],
    errors=[[2, 1, 0], [3, 3, 3]],
    measures={"entropy": [[0.5, 0.2, 0.1], [0.9, 0.8, 0.7]], "agreement": [[UNLIKE, 0.0, 0.0], [UNLIKE, 0.3, 0.0]]},
)


def test_outcomes_of_thresholds_by_hand():
    assert left_at(SEEN, "entropy", 0.3).tolist() == [1, 2]  # at layer 4, and at the last
    found = outcome(SEEN, left_at(SEEN, "entropy", 0.3))
    assert found["layers"] == pytest.approx((10 * 4 + 30 * 6) / 40) and found["wer"] == pytest.approx(40.0)
    assert found["left"] == pytest.approx({"2": 0.0, "4": 0.25, "6": 0.75})
    assert left_at(SEEN, "agreement", 0.1).tolist() == [1, 2]  # no edits: 0 is below, at the second head
    assert left_at(SEEN, "entropy", 0.0).tolist() == [2, 2]
    assert thresholds(SEEN, "entropy") == pytest.approx([0.0, 0.35, 0.65, 0.85, 1.9])


def test_points_are_nearest_to_a_mean_depth_and_the_free_one_costs_no_errors():
    found = points(SEEN, "entropy", [5, 2])
    # 0.35: layers 4 and 6; 0.65: 2 and 6; 0.85: 2 and 4; above all: 2 and 2.
    assert found["entropy, 5 layers"]["dev"]["layers"] == pytest.approx(5.0)
    assert found["entropy, 5 layers"]["threshold"] == pytest.approx(0.65)
    assert found["entropy, 2 layers"]["dev"] == outcome(SEEN, np.array([0, 0]))
    # Only the whole model makes 3 errors.
    assert found[f"entropy, {FREE}"]["threshold"] == 0.0 and found[f"entropy, {FREE}"]["dev"]["layers"] == 6
    alone = fixed(SEEN)
    assert list(alone) == ["layer 2", "layer 4"] and exit_of(alone["layer 4"]) == Exit((4,))
    assert alone["layer 4"]["dev"]["wer"] == pytest.approx(40.0)


def test_arithmetic_counts_the_heads_that_are_asked():
    config = KINDS["transformer"]
    found = arithmetic(make_model(config), (1, 3, 4), 20)
    frames = 334  # of ten seconds, three stacked
    head = round(frames * 24 * len(TOKENS) / 10)
    asked = {layer: one["macs"] - one["alone"] for layer, one in found.items()}
    assert asked == pytest.approx({"1": head, "3": 2 * head, "4": 2 * head}, abs=3)
    assert found["1"]["alone"] < found["3"]["alone"] < found["4"]["alone"]
    shares = {"1": 0.5, "4": 0.5}
    assert mean_macs(found, shares, True) == (found["1"]["alone"] + found["4"]["alone"]) / 2


class Examples:
    def load(self, names):
        return make_batch([int(name) for name in names])


def test_one_pass_over_dev_tells_what_every_exit_does():
    """What is foretold of a threshold is what the model then does."""
    config = KINDS["conformer"]
    model, tokenizer = make_model(config), Tokenizer(TOKENS)
    references = {str(number): text for number, text in enumerate(("a b", "c a", "b b c", "a"))}
    seen = look(model, [1, 3], Dev(Examples(), [["0", "2"], ["1", "3"]], references, tokenizer))
    assert seen.layers == (1, 3, 4) and seen.words == [2, 3, 2, 1] and len(seen.errors) == 4
    assert type(model.encoder).__name__ == "ConformerEncoder"  # as it was
    found = chosen(model, seen, ["entropy", "agreement"], [3, 2], 20)
    for name, point in found["points"].items():
        leaving = early_exit(model, exit_of(point))
        encoded(leaving, make_batch([0, 2, 1, 3]))
        frames = np.array(seen.frames)
        assert point["dev"]["layers"] == pytest.approx(
            (np.array(leaving.encoder.left_at) * frames).sum() / frames.sum()
        )
        assert point["dev"]["macs_per_second"] <= found["exits"]["4"]["macs"], name


def test_what_cannot_be_left_is_refused():
    with pytest.raises(SecateurError, match=r"exits at the layers 4: wanted some of 1, 2, 3, in rising order"):
        early_exit(make_model(KINDS["transformer"]), Exit((4,)))
    with pytest.raises(SecateurError, match="measure 'doubt' is unknown; choose one of entropy, agreement"):
        early_exit(make_model(KINDS["transformer"]), Exit((1,), "doubt"))
    with pytest.raises(SecateurError, match="early exit needs a CTC head and an encoder whose layers run singly"):
        early_exit(make_model(EMFORMER), Exit((1,)))
