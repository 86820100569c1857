import copy
import itertools
from dataclasses import replace

import pytest
import torch
from gated_student import GATED, LAYERS, MAGNITUDE, starting_at
from torch.nn import functional

from secateur.core.errors import SecateurError
from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import Batch
from secateur.ssl.checkpoints import load_upstream
from secateur.ssl.distillation import (
    Distillation,
    LayerPairs,
    PredictionHeads,
    SparsityTarget,
    lagrangian,
    missed,
    nearest_in_order,
)
from secateur.ssl.gated import EncoderGates, compact, fold, open_gates, sparsity
from secateur.ssl.options import FINE
from secateur.ssl.students import make_student, save_student

OPTIONS = replace(GATED, log_alpha=starting_at(2.0), distil=(1, 3))


@pytest.fixture
def teacher(tiny):
    torch.manual_seed(0)
    return Encoder(tiny).eval()


def states(count, seed=0, batch=2, frames=9, size=12):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, frames, size, generator=generator) for _ in range(count)]


def test_layers_are_paired_with_the_nearest_in_a_constructed_case(tiny):
    """Teacher layers 1, 2, 3 are copies of student layers 2, 1, 3, so the order can only be kept at a price."""
    student = states(4)
    teacher = [student[0], student[2], student[1] + 0.1, student[3]]
    frames, valid = torch.tensor([9, 9]), torch.ones(2, 9, dtype=torch.bool)
    free = LayerPairs([1, 2, 3], tiny, tiny, ordered=False)
    assert free.pair(student, teacher, valid) == [2, 1, 3]
    assert free(student, teacher, frames).item() == pytest.approx(0.01, rel=1e-4)
    ordered = LayerPairs([1, 2, 3], tiny, tiny, ordered=True)
    pairs = ordered.pair(student, teacher, valid)
    assert pairs in ([1, 1, 3], [2, 2, 3])
    wanted = sum(functional.mse_loss(student[j], teacher[k]) for j, k in zip(pairs, (1, 2, 3), strict=True))
    torch.testing.assert_close(ordered(student, teacher, frames), wanted)


def test_the_pairing_follows_the_learned_maps(tiny):
    student = states(4)
    teacher = states(4, seed=1)
    pairs = LayerPairs([2], tiny, tiny, ordered=True)
    turn, _ = torch.linalg.qr(torch.randn(12, 12))
    teacher[2] = student[1] @ turn.T + 3.0
    with torch.no_grad():
        pairs.maps[0].weight.copy_(turn)
        pairs.maps[0].bias.fill_(3.0)
    assert pairs.pair(student, teacher, torch.ones(2, 9, dtype=torch.bool)) == [1]
    assert pairs(student, teacher, torch.tensor([9, 9])).item() == pytest.approx(0, abs=1e-10)


def test_what_stands_behind_the_last_frame_does_not_count(tiny):
    student, teacher = states(4), states(4, seed=1)
    frames = torch.tensor([9, 4])
    for objective in (LayerPairs([1, 3], tiny, tiny, True), PredictionHeads([1, 3], tiny, tiny)):
        wanted = objective(student, teacher, frames)
        other = [state.clone() for state in teacher]
        for state in other:
            state[1, 4:] = 1e3
        torch.testing.assert_close(objective(student, other, frames), wanted)


def test_pairs_in_order_have_the_least_sum():
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        table = torch.rand(3, 5, generator=generator).tolist()
        chosen = nearest_in_order(table)
        best = min(
            sum(row[place] for row, place in zip(table, places, strict=True))
            for places in itertools.combinations_with_replacement(range(5), 3)
        )
        assert chosen == sorted(chosen)
        assert sum(row[place] for row, place in zip(table, chosen, strict=True)) == pytest.approx(best)
    assert nearest_in_order([[1.0, 1.0], [1.0, 1.0]]) == [0, 0]


def test_distilhuberts_loss_by_hand(tiny):
    student, teacher = states(4, frames=1, batch=1), states(4, seed=1, frames=1, batch=1)
    heads = PredictionHeads([2], tiny, tiny)
    predicted, wanted = heads.heads[0](student[-1])[0, 0], teacher[2][0, 0]
    cosine = (predicted @ wanted) / (predicted.norm() * wanted.norm())
    by_hand = (predicted - wanted).abs().mean() - torch.log(torch.sigmoid(cosine))
    torch.testing.assert_close(heads(student, teacher, torch.tensor([1])), by_hand)


def test_lambdas_climb_while_the_sparsity_is_short_and_the_price_rises():
    lambdas = torch.nn.Parameter(torch.zeros(2))
    lambdas_optimizer = torch.optim.SGD([lambdas], 0.1)
    prices = []
    for _ in range(5):
        expected = torch.tensor(0.2, requires_grad=True)
        lambdas_optimizer.zero_grad()
        value = lagrangian(expected, 0.6, lambdas)
        assert value.item() == pytest.approx((lambdas[0] * -0.4 + lambdas[1] * 0.16).item())
        value.backward()
        prices.append(-expected.grad.item())
        # Ascent: the gradient that the optimiser sees is −∂L/∂λ.
        assert lambdas.grad.tolist() == pytest.approx([0.4, -0.16])
        lambdas_optimizer.step()
    assert lambdas.tolist() == pytest.approx([-0.2, 0.08])
    assert prices == sorted(prices) and prices[-1] > prices[0] == 0
    lambdas_optimizer.zero_grad()
    lagrangian(torch.tensor(0.8), 0.6, lambdas).backward()
    lambdas_optimizer.step()
    assert lambdas[0] > -0.2 and lambdas[1] > 0.08


def test_the_target_rises_linearly_during_the_warm_up():
    method = SparsityTarget(0.8, warmup=4, steps=10, every=3)
    assert [method.at(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


FORMS = {
    "large": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
    "data2vec": {"model_type": "data2vec-audio", "feat_extract_norm": "layer", "num_conv_pos_embeddings": 2},
}


@pytest.mark.parametrize("form", FORMS)
def test_large_and_data2vec_teachers_are_distilled_through_gates_and_compacted(tiny, form, tmp_path):
    torch.manual_seed(0)
    model = make_student(Encoder(replace(tiny, **FORMS[form])).eval(), OPTIONS).train()
    waveforms, lengths = torch.randn(2, 9000), torch.tensor([9000, 5000])
    loss, *_ = model(waveforms, lengths)
    loss.backward()
    assert all(log_alpha.grad.abs().sum() > 0 for log_alpha in model.gates.log_alpha.values())
    with torch.no_grad():
        for log_alpha in model.gates.log_alpha.values():
            log_alpha.normal_(0.0, 3.0)
        student, record = model.student.eval(), {}
        save_student(tmp_path, record, model, SparsityTarget(0.5, 1, 1, 1))
        assert record["sparsity"] == pytest.approx(0.5, abs=0.1)
        features, frames = student.features(waveforms, lengths)
        wanted = student.contextualize(features, frames, weights=fold(student, model.gates.settle(0.5)))
        hidden, _ = load_upstream(tmp_path)(waveforms, lengths)
        for state, want in zip(hidden, wanted, strict=True):
            for row, other, count in zip(state, want, frames, strict=True):
                torch.testing.assert_close(row[:count], other[:count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train_extractor", [False, True])
def test_an_open_student_of_the_same_weights_is_at_no_distance(teacher, train_extractor):
    options = replace(OPTIONS, log_alpha=starting_at(30.0), train_extractor=train_extractor)
    model = make_student(teacher, options).eval()
    batch = {"waveforms": torch.randn(2, 9000), "lengths": torch.tensor([9000, 5000])}
    loss, statistics, frames = model(**batch)
    assert statistics["distance"].item() == pytest.approx(0, abs=1e-9) and loss.item() == pytest.approx(0, abs=1e-6)
    assert int(frames) == sum(teacher.config.frames(samples) for samples in (9000, 5000))


def test_gradients_reach_gates_lambdas_maps_and_student_but_not_the_teacher(teacher):
    model = make_student(teacher, OPTIONS).train()
    model.target = 0.4
    before = copy.deepcopy(teacher.state_dict())
    torch.manual_seed(1)
    model(torch.randn(2, 9000), torch.tensor([9000, 9000]))[0].backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    without = {name for name, grad in grads.items() if grad is None}
    assert without == {name for name in grads if "feature_extractor" in name or "masked_spec_embed" in name}
    for kind in FINE:
        assert (grads[f"gates.log_alpha.{kind}"] != 0).any(), kind
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(name.startswith("_teacher") for name in model.state_dict())
    assert (model.gates.log_alpha["qk"].rate, model.lambdas.rate) == (100, 20)
    assert model.lambdas.tolist() == [0, 30]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_magnitude_students_keep_the_largest_units(teacher):
    """The units are scaled by hand so that their order is known."""
    scaled = copy.deepcopy(teacher)
    with torch.no_grad():
        for number, layer in enumerate(scaled.encoder.layers):
            feed_forward = layer.feed_forward
            for unit in range(20):
                direction = functional.normalize(torch.randn(12), dim=0)
                feed_forward.intermediate_dense.weight[unit] = direction * (1 + unit) * 2.0**number
                feed_forward.output_dense.weight[:, unit] = direction.flip(0)
    model = make_student(scaled, MAGNITUDE)
    widths = [shape.ffn for shape in model.student.config.shapes]
    assert sum(widths) in range(28, 33) and widths == sorted(widths)
    for layer, original, width in zip(model.student.encoder.layers, scaled.encoder.layers, widths, strict=True):
        kept = original.feed_forward.intermediate_dense.weight[20 - width :]
        assert torch.equal(layer.feed_forward.intermediate_dense.weight, kept)
    whole, left = (sum(p.numel() for p in found.encoder.layers.parameters()) for found in (scaled, model.student))
    norms = 3 * 4 * 12
    assert 1 - (left - norms) / (whole - norms) == pytest.approx(0.5, abs=0.025)  # one unit more of each kind is 2 %


def test_students_of_first_layers_are_the_teachers(teacher):
    student = make_student(teacher, LAYERS).student
    waveforms, lengths = torch.randn(2, 6000), torch.tensor([6000, 3000])
    short, whole = student(waveforms, lengths)[0], teacher(waveforms, lengths)[0]
    assert len(short) == 3 and len(student.config.shapes) == 2
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(short, whole, strict=False))
    model = make_student(teacher, LAYERS)
    assert isinstance(model.objective, PredictionHeads) and model.gates is None


def test_what_cannot_be_distilled_is_refused(teacher, tiny):
    for layers in ([], [0, 1], [2, 1], [1, 4], [1, 1]):
        with pytest.raises(SecateurError, match=r"layers to distil: .*ascending ones from 1 to 3"):
            LayerPairs(layers, tiny, tiny, True)
    with pytest.raises(SecateurError, match="layers: 4; keep from 1 to 3"):
        make_student(teacher, replace(LAYERS, layers=4))


def test_sparsity_is_reached_by_training_and_kept_by_compaction(teacher):
    """Adam on one batch: the Lagrangian brings the expected sparsity to its target; so do the settled gates."""
    torch.manual_seed(0)
    model = make_student(teacher, OPTIONS).train()
    rated = [{"params": [p], "lr": 1e-3 * getattr(p, "rate", 1.0)} for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(rated, weight_decay=0.0)
    method = SparsityTarget(0.6, warmup=75, steps=150, every=50)
    method.start(model, optimizer)
    for step in range(150):
        method.before_forward(step, None)
        optimizer.zero_grad()
        model(torch.randn(2, 4000), torch.tensor([4000, 4000]))[0].backward()
        optimizer.step()
        method.after_update(step, None)
    assert [row["step"] for row in method.log()] == [50, 100, 150]
    assert method.log()[-1]["sparsity"] == pytest.approx(0.6, abs=0.03)
    again = SparsityTarget(0.6, warmup=75, steps=150, every=50)
    again.restore(method.tensors())
    assert again.log() == method.log()
    gates = model.gates.settle(0.6)
    assert float(sparsity({k: (z > 0).double() for k, z in gates.items()}, teacher.config)) == pytest.approx(
        0.6, abs=0.005
    )
    smaller = compact(model.student, gates)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in teacher.parameters())


def test_a_gated_step_is_a_plain_one_when_all_gates_are_open(teacher):
    """The gradient of the student's weights through open gates is that without gates."""
    grads = []
    for gated in (True, False):
        torch.manual_seed(3)
        student = copy.deepcopy(teacher).eval()
        gates = EncoderGates(teacher.config, FINE, True, 40.0, 1.0) if gated else None
        other = Encoder(teacher.config).eval()
        model = Distillation(student, other, LayerPairs([3], teacher.config, teacher.config, True), gates)
        model(torch.ones(1, 6000).cumsum(1).sin(), torch.tensor([6000]))[0].backward()
        grads.append(student.encoder.layers[0].attention.v_proj.weight.grad)
    assert grads[1].abs().max() > 0
    torch.testing.assert_close(*grads)
    assert open_gates(teacher.config)["mha"].tolist() == [1, 1, 1]


def test_what_a_student_misses_is_distance_over_variance(teacher):
    """A copy misses nothing; one that gives the mean frame misses all; over two batches of other lengths."""
    model = Distillation(copy.deepcopy(teacher), teacher, LayerPairs([1, 3], teacher.config, teacher.config, True))
    batches = [
        Batch([""], [""], {"waveforms": torch.randn(1, length), "lengths": torch.tensor([length])})
        for length in (4000, 6000)
    ]
    assert missed(model, batches) == pytest.approx(0, abs=1e-9)
    states = [teacher(*batch.tensors.values())[0] for batch in batches]
    means = {layer: torch.cat([state[layer][0] for state in states]).mean(0) for layer in (1, 3)}
    with torch.no_grad():
        for linear, layer in zip(model.objective.maps, (1, 3), strict=True):
            linear.weight.zero_()
            linear.bias.copy_(means[layer])
    assert missed(model, batches) == pytest.approx(1, abs=1e-5)
