"""Search for layers: the choice of the naive search at less cost, and the orders of the other strategies."""

import copy
import itertools

import numpy as np
import pytest
import torch
from tiny import CTC, TOKENS, hybrid, transducer, with_encoder

from secateur.core.errors import SecateurError
from secateur.core.files import write_tsv
from secateur.decoding.scoring import score
from secateur.decoding.transducer import Greedy
from secateur.layers.search import MEMORY, Dev, Score, Scorer, family, read_similarity, search
from secateur.layers.strategies import STRATEGIES, Given
from secateur.layers.strategies.greedy import same
from secateur.models.build import build_model
from secateur.models.rnnt import Transducer
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.speech.data import Batch, pad
from secateur.speech.tokens import Tokenizer

LAYERS = 4
TRANSFORMER = with_encoder(CTC, layers=LAYERS)
CONFORMER = with_encoder(TRANSFORMER, type="conformer")
HYBRID = hybrid(TRANSFORMER)
EMFORMER = transducer(TRANSFORMER)
EVERY = {"transformer": TRANSFORMER, "conformer": CONFORMER, "hybrid": HYBRID, "transducer": EMFORMER}
NAIVE = sum(n * (n - 1) for n in range(2, LAYERS + 1))


class Examples:
    """Seven utterances of random features, of one to four words."""

    def __init__(self):
        generator = np.random.default_rng(0)
        words = ["a", "ab", "cab", "b", "ca"]
        self.texts, self.features = {}, {}
        for index in range(7):
            self.texts[f"u{index}"] = " ".join(generator.choice(words, 1 + index % 4))
            frames = int(generator.integers(40, 90))
            self.features[f"u{index}"] = generator.standard_normal((frames, 20), np.float32)

    def load(self, keys):
        features = [torch.from_numpy(self.features[key]) for key in keys]
        targets = [torch.tensor(Tokenizer(TOKENS).encode(self.texts[key])) for key in keys]
        tensors = {
            "speech": pad(features, 0.0),
            "speech_lengths": torch.tensor([len(matrix) for matrix in features]),
            "text": pad(targets, -1),
            "text_lengths": torch.tensor([len(target) for target in targets]),
        }
        return Batch(list(keys), [""] * len(keys), tensors)


EXAMPLES = Examples()
DEV = Dev(EXAMPLES, [["u3", "u0", "u5"], ["u1", "u6"], ["u2", "u4"]], EXAMPLES.texts, Tokenizer(TOKENS))


def model(config=TRANSFORMER, seed=1):
    torch.manual_seed(seed)
    built = build_model(config, TOKENS).eval()
    with torch.no_grad():
        built.ctc.ctc_lo.weight *= 10
        if config["type"] == "rnnt":
            built.joiner.output.weight *= 10
    return built


@torch.no_grad()
def measured(whole, kept):
    """(mean loss, word error rate) of a sub-model, made by removing layers, one utterance at a time."""
    shortened = keep_layers(copy.deepcopy(whole), kept)
    total, hypotheses = 0.0, {}
    for name in EXAMPLES.texts:
        tensors = EXAMPLES.load([name]).tensors
        hidden, lengths = shortened.encode(tensors["speech"], tensors["speech_lengths"])
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        if isinstance(shortened, Transducer):
            total += shortened(**tensors)[1]["loss_transducer"].item()
            greedy = Greedy(shortened)
            greedy.advance(hidden, lengths)
            hypotheses[name] = DEV.tokenizer.decode(greedy.labels[0])
            continue
        log_probs = shortened.ctc.ctc_lo(hidden).log_softmax(-1).transpose(0, 1)
        total += torch.nn.functional.ctc_loss(
            log_probs, tensors["text"], lengths, tensors["text_lengths"], reduction="sum"
        ).item()
        path = log_probs.argmax(-1).flatten().tolist()
        hypotheses[name] = DEV.tokenizer.decode(token for token, _ in itertools.groupby(path))
    scores = score(EXAMPLES.texts, hypotheses)
    return total / len(scores), 100 * sum(item.errors for item in scores) / sum(item.words for item in scores)


def naive(whole, objective):
    """Every candidate of every round on its own: the order, the objective of all candidates, the family's measures."""
    layers = layer_numbers(whole)
    order, rounds, depths = [], [], {len(layers): (layers, measured(whole, layers))}
    while len(layers) > 1:
        found = {layer: measured(whole, [other for other in layers if other != layer]) for layer in layers}
        column = {"loss": 0, "wer": 1}[objective]
        best = min(layers, key=lambda layer: (found[layer][column], found[layer][0], -layer))
        layers = [layer for layer in layers if layer != best]
        order.append(best)
        rounds.append({layer: values[column] for layer, values in found.items()})
        depths[len(layers)] = (layers, found[best])
    return order, rounds, depths


def order_of(strategy, *given, **others):
    """The order that a strategy finds."""
    return STRATEGIES.named(strategy).load().order(Given(*given, **others)).order


@pytest.mark.parametrize("config", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("objective", ["loss", "wer"])
def test_greedy_is_the_naive_search(config, objective):
    orders = []
    for seed in (1, 2) if config is TRANSFORMER else (1,):
        whole = model(config, seed)
        order, rounds, depths = naive(whole, objective)
        orders.append(order)
        for memory in (MEMORY, 30_000, 0):
            result = search(whole, "greedy", DEV, objective, memory=memory)
            assert result["order_removed"] == order
            assert [entry["removed"] for entry in result["rounds"]] == order
            for entry, expected in zip(result["rounds"], rounds, strict=True):
                found = {int(layer): value for layer, value in entry["without"].items()}
                assert found == pytest.approx(expected, rel=1e-5)
            assert set(result["depths"]) == set(map(str, depths))
            for depth, (layers, (loss, wer)) in depths.items():
                found = result["depths"][str(depth)]
                assert found["layers"] == layers
                assert found["dev_loss"] == pytest.approx(loss, rel=1e-5)
                assert found.get("dev_wer") == (pytest.approx(wer) if objective == "wer" else None)
            assert result["dev_utterances"] == 7
    assert len(orders) == 1 or orders[0] != orders[1]


def test_the_model_is_left_as_it_was():
    whole = model()
    before, layers = copy.deepcopy(whole.state_dict()), list(whole.encoder.encoders)
    search(whole, "greedy", DEV)
    assert list(whole.encoder.encoders) == layers
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())


class Rigged(Scorer):
    """Runs everything, and then gives the layers' loss as told: what is missing adds its harm."""

    def __init__(self, order, memory):
        super().__init__(model(), DEV, "loss", memory)
        self.harm = {layer: 2.0 ** (order.index(layer) if layer in order else 10) for layer in range(1, LAYERS + 1)}
        self.most = 0

    def score(self, models):
        super().score(models)
        return [Score(sum(harm for layer, harm in self.harm.items() if layer not in kept)) for kept in models]

    def keep(self, states, layers, state):
        super().keep(states, layers, state)
        self.most = max(self.most, len(states))


@pytest.mark.parametrize(
    ("order", "memory", "forwards"),
    [
        # The whole model: 4. First round, layers after the missing one: 3 + 2 + 1 + 0.
        # Later rounds, layers after the missing and the last removed one; from the last on there are never any.
        ([4, 3, 2], MEMORY, 4 + 6 + 0 + 0),
        # Without 1: of 2 3 4, (3 4), (4), (): 2 + 1 + 0. Without 1 and 2: (4), (): 1 + 0.
        ([1, 2, 3], MEMORY, 4 + 6 + 3 + 1),
        # Without 2: of 1 3 4, without 1 (3 4), without 3 (4): 2 + 1. Without 2 and 4: of 1 3, nothing is above 4.
        ([2, 4, 1], MEMORY, 4 + 6 + 3 + 0),
        # With no memory, the first layers run once a round: (3 + 6) + (2 + 3) + (1 + 1), whatever is removed.
        ([4, 3, 2], 0, 4 + 9 + 5 + 2),
        ([1, 2, 3], 0, 4 + 9 + 5 + 2),
    ],
)
def test_layer_forwards(order, memory, forwards):
    scorer = Rigged(order, memory)
    calls = [0]
    for layer in scorer.layers.values():
        layer.register_forward_pre_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    assert order_of("greedy", (1, 2, 3, 4), scorer) == order
    assert scorer.layer_forwards == calls[0] == forwards * len(DEV.batches)
    assert forwards < 4 + NAIVE
    assert scorer.most <= (LAYERS * (LAYERS + 1) // 2 + 1 if memory else 0)


def test_a_batch_without_room_costs_more_and_memory_is_given_back():
    """Room for the states of about one batch: what the others need again is computed again."""
    order = [3, 1, 2]
    plenty, none, some = Rigged(order, MEMORY), Rigged(order, 0), Rigged(order, 40_000)
    for scorer in (plenty, none, some):
        assert order_of("greedy", (1, 2, 3, 4), scorer) == order
    assert plenty.layer_forwards < some.layer_forwards < none.layer_forwards
    held = sum(state.nbytes for batch in some._batches for state in batch.kept.values())
    assert 0 < held <= 40_000
    assert some._room == 40_000 - held
    assert all(layers in ((), (4,)) for batch in some._batches for layers in batch.kept)


def test_equal_candidates_lose_the_later_layer_first():
    """Layers 2 and 4 do nothing: without them nothing changes."""
    whole = model()
    with torch.no_grad():
        for number in (2, 4):
            layer = whole.encoder.encoders[number - 1]
            for linear in (layer.self_attn.linear_out, layer.feed_forward.w_2):
                linear.weight.zero_()
                linear.bias.zero_()
    for objective in ("loss", "wer"):
        result = search(whole, "greedy", DEV, objective)
        assert result["rounds"][0]["without"]["2"] == result["rounds"][0]["without"]["4"]
        left_at = {layer: index for index, layer in enumerate(result["order_removed"])}
        assert left_at[4] < left_at.get(2, LAYERS)


def test_orders_by_hand():
    layers = (1, 2, 3, 4, 5, 6)
    assert order_of("truncate", layers) == [6, 5, 4, 3, 2]
    assert order_of("every-other", layers) == [6, 4, 2, 3, 5]
    assert order_of("every-other", (1, 2, 3, 4, 5)) == [4, 2, 3, 5]
    assert order_of("every-other", (2, 5, 7)) == [5, 7]
    likeness = {1: 0.2, 2: 0.9, 3: 0.95, 4: 0.9, 5: 0.1, 6: 0.5}
    assert order_of("svcca", layers, similarity=likeness) == [3, 4, 2, 6, 1]
    drawn = [tuple(order_of("random", layers, seed=seed)) for seed in range(50)]
    assert drawn[:3] == [tuple(order_of("random", layers, seed=seed)) for seed in range(3)]
    assert len(set(drawn)) > 40
    assert all(len(set(order)) == 5 and set(order) < set(layers) for order in drawn)
    assert {layer for order in drawn for layer in set(layers) - set(order)} == set(layers)


def test_a_family_is_nested():
    assert family((1, 2, 3, 4), [4, 1, 3]) == [(1, 2, 3, 4), (1, 2, 3), (2, 3), (2,)]


@pytest.mark.parametrize(
    ("strategy", "evaluation"),
    [
        ("truncate", 4),  # every sub-model is the beginning of the whole one
        ("every-other", 4 + 1 + 0 + 0),  # 1 2 3 4, 1 2 3, 1 3, 1
        ("svcca", 4 + 3 + 1 + 0),  # 1 2 3 4, 2 3 4, 2 4, 2
        ("random", None),
    ],
)
def test_every_depth_of_a_fixed_order_is_scored(strategy, evaluation):
    whole = model()
    result = search(whole, strategy, DEV, similarity={1: 0.9, 2: 0.1, 3: 0.8, 4: 0.7}, seed=3)
    layers = set(range(1, LAYERS + 1))
    for removed, depth in enumerate(range(LAYERS, 0, -1)):
        entry = result["depths"][str(depth)]
        assert entry["layers"] == sorted(layers - set(result["order_removed"][:removed]))
        assert entry["dev_loss"] == pytest.approx(measured(whole, entry["layers"])[0], rel=1e-5)
    assert result["layer_forwards"] == 0
    if evaluation:
        assert result["evaluation_layer_forwards"] == evaluation * len(DEV.batches)
    assert result.get("seed") == (3 if strategy == "random" else None)


def test_a_sub_model_is_searched_by_the_numbers_of_the_whole_one():
    whole = model()
    result = search(keep_layers(copy.deepcopy(whole), [1, 3, 4]), "greedy", DEV)
    assert result["depths"]["3"]["layers"] == [1, 3, 4]
    losses = {layer: measured(whole, [other for other in (1, 3, 4) if other != layer])[0] for layer in (1, 3, 4)}
    assert {int(layer): loss for layer, loss in result["rounds"][0]["without"].items()} == pytest.approx(losses)


def test_similarity_is_read_of_layers_next_to_each_other(tmp_path):
    rows = [
        dict(zip(("measure", "model_a", "layer_a", "model_b", "layer_b", "value"), values, strict=True))
        for values in [
            *(("svcca", "m", a, "m", b, 10 * a + b) for a, b in itertools.combinations_with_replacement(range(4), 2)),
            ("svcca", "m", 0, "n", 1, 70.0),
            ("svcca", "n", 0, "n", 1, 80.0),
            ("cka", "m", 0, "m", 1, 90.0),
        ]
    ]
    file = tmp_path / "similarity.tsv"
    write_tsv(file, list(rows[0]), rows)
    assert read_similarity(file, "m") == {1: 1.0, 2: 12.0, 3: 23.0}
    assert read_similarity(file, "m", "cka") == {1: 90.0}
    for name in ("x", None):
        with pytest.raises(SecateurError, match=rf"similarity.tsv: has no model {name!r}; name one of m, n"):
            read_similarity(file, name)
    write_tsv(file, list(rows[0]), rows[:10])
    assert read_similarity(file) == {1: 1.0, 2: 12.0, 3: 23.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "best"}, "strategy 'best' is unknown; it must be one of greedy, svcca, truncate, random"),
        ({"strategy": "greedy", "objective": "cer"}, "objective 'cer' is unknown; it must be one of loss, wer"),
        (
            {"strategy": "svcca"},
            r"similarities of the layers \[\] were given; give .* layer of the model, \[1, 2, 3, 4\]",
        ),
        ({"strategy": "svcca", "similarity": {1: 0.1, 2: 0.2, 3: 0.3}}, r"of the layers \[1, 2, 3\] were given"),
        ({"strategy": "svcca", "similarity": dict.fromkeys(range(1, 5), float("nan"))}, r"layers \[\] were given"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, message):
    with pytest.raises(SecateurError, match=message):
        search(model(), dev=DEV, **arguments)


def test_a_model_without_a_ctc_head_is_refused():
    whole = model()
    whole.ctc = None
    with pytest.raises(SecateurError, match="needs an encoder whose layers run singly, and a CTC head"):
        search(whole, "greedy", DEV)


def test_a_loss_that_is_not_finite_names_layers_and_utterances():
    whole = model()
    with torch.no_grad():
        whole.encoder.encoders[1].norm1.weight[0] = float("nan")
    with pytest.raises(SecateurError, match=r"with layers \[1, 2, 3, 4\] on utterances u3, u0, u5"):
        search(whole, "greedy", DEV)


def test_too_little_memory_is_reported_once(caplog):
    search(model(), "greedy", DEV, memory=20_000)
    assert sum("do not all fit into memory" in record.message for record in caplog.records) == 1


def test_a_removal_is_the_same_on_so_many_resampled_dev_sets():
    """Of two utterances, one is hurt less without layer 1 and one without layer 2: by hand, three resamples of four.

    Without layer 1 losses are 1 and 6, without layer 2 they are 4 and 4: of the pairs drawn, (1, 1) prefers layer 1,
    (1, 2) and (2, 1) with 3.5 against 4, too, and (2, 2) layer 2. Equal ones are for the later layer.
    """
    found = {1: Score(each=[(1.0, 1), (6.0, 1)]), 2: Score(each=[(4.0, 1), (4.0, 1)])}
    assert same(found, 1) == pytest.approx(0.75, abs=0.05) and same(found, 2) == pytest.approx(0.25, abs=0.05)
    alike = {1: Score(each=[(4.0, 1), (4.0, 1)]), 2: Score(each=[(4.0, 1), (4.0, 1)])}
    assert same(alike, 2) == 1.0
    # Errors and words: 1 of 1 and 0 of 9 are one error of ten words, not a half.
    rates = {1: Score(each=[(1, 1), (0, 9)]), 2: Score(each=[(1, 5), (1, 5)])}
    assert same(rates, 1) == pytest.approx(0.75, abs=0.05)


def test_the_search_says_how_stable_each_removal_is():
    for objective in ("loss", "wer"):
        result = search(model(), "greedy", DEV, objective)
        assert [0 <= entry["same"] <= 1 for entry in result["rounds"]] == [True] * (LAYERS - 1)
