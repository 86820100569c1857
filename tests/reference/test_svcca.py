"""SVCCA and linear CKA against their definitions on stored activations, and what they must be in known cases."""

import math

import numpy as np
import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.layers.similarity import Covariances


def mixed(frames: int, width: int, seed: int, shared: np.ndarray | None = None) -> np.ndarray:
    """Activations (frames, width) with a falling spectrum; those with the same `shared` have a part in common."""
    generator = np.random.default_rng(seed)
    sources = generator.standard_normal((frames, width)) * 0.9 ** np.arange(width)
    if shared is not None:
        sources[:, : shared.shape[1]] += shared
    return sources @ generator.standard_normal((width, width)) + generator.standard_normal(width)


def covariances(layers: list[np.ndarray], batches: int = 1) -> Covariances:
    """Feed activations (n, D) as unpadded utterances, one a batch."""
    total = Covariances()
    for part in np.array_split(np.arange(len(layers[0])), batches):
        total.add([torch.from_numpy(layer[part])[None] for layer in layers], torch.tensor([len(part)]))
    return total


def stored_svcca(x: np.ndarray, y: np.ndarray, variance: float = 0.99) -> np.ndarray:
    """All coefficients: centre, SVD, keep the top directions, then CCA of these (Björck & Golub 1973)."""
    bases = []
    for activations in (x, y):
        left, values, _ = np.linalg.svd(activations - activations.mean(0), full_matrices=False)
        held = np.cumsum(values**2) / np.sum(values**2)
        kept = next(count for count, share in enumerate(held, 1) if share >= variance - 1e-12)
        bases.append(np.linalg.qr(left[:, :kept] * values[:kept])[0])
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)


def stored_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al. 2019, from Gram matrices over frames: HSIC(K, L) / √(HSIC(K, K)·HSIC(L, L))."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        """tr(K·HLH) / (n − 1)², where HLH is L with rows and columns of mean zero."""
        centred = m - m.mean(0) - m.mean(1)[:, None] + m.mean()
        return np.sum(k * centred) / (len(x) - 1) ** 2

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))


def related_layers() -> list[np.ndarray]:
    """Four layers of different widths: three with something in common, one without."""
    shared = np.random.default_rng(9).standard_normal((700, 6)) * 2
    return [mixed(700, 24, 1, shared), mixed(700, 17, 2, shared), mixed(700, 30, 3, shared), mixed(700, 12, 4)]


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.99, 1.0])
def test_svcca_equals_the_one_of_stored_activations(variance):
    layers = related_layers()
    result = covariances(layers, batches=5).svcca(variance)
    assert set(result.coefficients) == {(i, j) for i in range(4) for j in range(i, 4)}
    for (i, j), curve in result.coefficients.items():
        wanted = stored_svcca(layers[i], layers[j], variance)
        assert len(wanted) == len(curve) == min(result.kept[i], result.kept[j])
        np.testing.assert_allclose(curve, wanted, rtol=0, atol=1e-9)
        assert result.mean[i, j] == result.mean[j, i] == pytest.approx(wanted.mean(), abs=1e-9)
    assert result.kept.tolist() == [len(stored_svcca(layer, layer, variance)) for layer in layers]
    assert result.mean[0, 1] > result.mean[0, 3] + 0.05


def test_cka_equals_the_one_of_gram_matrices():
    layers = related_layers()
    result = covariances(layers, batches=5).cka()
    wanted = [[stored_cka(x, y) for y in layers] for x in layers]
    np.testing.assert_allclose(result, wanted, rtol=0, atol=1e-10)


def test_a_case_by_hand():
    """Columns of ±1 patterns: x and y share one of two directions; a third layer correlates with it by 1/2."""
    a, b, c = (np.array(pattern) for pattern in ([1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]))
    x, y = np.stack([2 * a, b], 1).astype(float), np.stack([a, c], 1).astype(float)
    half = np.stack([a + math.sqrt(3) * b, 0 * a], 1)  # correlates with a by 1/2, and has a dead neuron
    result = covariances([x, y, half]).svcca()
    assert result.kept.tolist() == [2, 2, 1]
    np.testing.assert_allclose(result.coefficients[0, 1], [1, 0], atol=1e-12)
    np.testing.assert_allclose(result.coefficients[1, 2], [0.5], atol=1e-12)
    np.testing.assert_allclose(result.coefficients[0, 2], [1], atol=1e-12)
    assert covariances([x, y]).svcca(0.8).kept.tolist() == [1, 2]  # 4 of 5, and 1 of 2, of the variance
    assert covariances([x, y]).svcca(0.81).kept.tolist() == [2, 2]
    # ‖X'Y‖² = (4·2)², ‖X'X‖² = 16² + 4², ‖Y'Y‖² = 4² + 4²
    assert covariances([x, y]).cka()[0, 1] == pytest.approx(64 / math.sqrt((256 + 16) * (16 + 16)))


def test_rotating_scaling_and_shifting_a_layer_changes_nothing():
    layers = related_layers()[:2]
    rotation = np.linalg.qr(np.random.default_rng(5).standard_normal((24, 24)))[0]
    total = covariances([*layers, 1000 * layers[0] @ rotation + 7])
    svcca, cka = total.svcca(), total.cka()
    assert svcca.mean[0, 2] == pytest.approx(1, abs=1e-9)
    assert cka[0, 2] == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(svcca.coefficients[0, 1], svcca.coefficients[1, 2], atol=1e-9)
    assert cka[0, 1] == pytest.approx(float(cka[1, 2]), abs=1e-9)
    assert svcca.mean[0, 1] < 0.9
    assert cka[0, 1] < 0.9


def test_a_layer_is_wholly_like_itself():
    total = covariances(related_layers())
    for similarity in (total.svcca().mean, total.cka()):
        np.testing.assert_allclose(similarity.diagonal(), 1, atol=1e-12)
        assert similarity.max() <= 1


def wachter_mean(p: int, q: int, degrees: int) -> float:
    """Mean canonical correlation of independent noise in the limit of many dimensions (Wachter 1980), p ≤ q.

    The squares r have the density √((r₊ − r)(r − r₋)) / (2π·a·r·(1 − r)), a = p/N, b = q/N, between
    r± = (√(a(1 − b)) ± √(b(1 − a)))².
    """
    a, b = p / degrees, q / degrees
    low, high = ((math.sqrt(a * (1 - b)) + sign * math.sqrt(b * (1 - a))) ** 2 for sign in (-1, 1))
    # With r = middle + radius·cos t, the square root cancels against dr.
    t = (np.arange(20000) + 0.5) * math.pi / 20000
    radius = (high - low) / 2
    r = (low + high) / 2 + radius * np.cos(t)
    density = (radius * np.sin(t)) ** 2 / (2 * math.pi * a * r * (1 - r)) * math.pi / 20000
    assert density.sum() == pytest.approx(1, abs=1e-3)
    return float((density * np.sqrt(r)).sum())


def test_independent_noise_has_the_similarity_that_theory_gives():
    """E Σ ρ² = p·q / (n − 1) exactly, for subspaces of p and q dimensions; the mean by Wachter's law."""
    frames, squares, means, exact, limit = 500, [], [], [], []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        x, y = generator.standard_normal((frames, 60)), generator.standard_normal((frames, 40))
        result = covariances([x, y]).svcca()
        p, q = sorted(result.kept.tolist())
        squares.append(float(result.coefficients[0, 1].square().sum()))
        means.append(float(result.mean[0, 1]))
        exact.append(p * q / (frames - 1))
        limit.append(wachter_mean(p, q, frames - 1))
    assert np.mean(squares) == pytest.approx(np.mean(exact), rel=0.02)
    assert np.mean(means) == pytest.approx(np.mean(limit), abs=0.004)
    assert 0.2 < np.mean(means) < 0.4


def test_dead_neurons_count_for_nothing():
    """Zeros, constants, and constants that float32 cannot hold exactly."""
    x, y = related_layers()[:2]
    dead = np.stack([np.full(700, value) for value in (0.0, 3.0, float(np.float32(0.1)), 1e6 / 3)], 1)
    plain, padded = covariances([x, y], 7), covariances([np.hstack([dead[:, :2], x, dead[:, 2:]]), y], 7)
    torch.testing.assert_close(padded.svcca().mean, plain.svcca().mean, rtol=0, atol=1e-10)
    torch.testing.assert_close(padded.svcca().kept, plain.svcca().kept)
    torch.testing.assert_close(padded.cka(), plain.cka(), rtol=0, atol=1e-10)


def test_a_constant_layer_is_like_no_other():
    x = related_layers()[0]
    total = covariances([x, np.full((700, 5), 1 / 3)], 7)
    result = total.svcca()
    assert result.kept[1] == 0
    assert len(result.coefficients[0, 1]) == len(result.coefficients[1, 1]) == 0
    for similarity in (result.mean, total.cka()):
        np.testing.assert_allclose(similarity, [[1, 0], [0, 0]], atol=1e-12)


@pytest.mark.parametrize("variance", [0.99, 1.0])
def test_rank_deficient_layers(variance):
    """30 neurons of rank 5: the directions without variance are left out, and what repeats adds nothing."""
    generator = np.random.default_rng(6)
    sources = generator.standard_normal((700, 5))
    wide = sources @ generator.standard_normal((5, 30))
    result = covariances([wide, sources, related_layers()[1]], 3).svcca(variance)
    assert result.kept[0] <= 5
    if variance == 1.0:
        assert result.kept[:2].tolist() == [5, 5]
        assert result.mean[0, 1] == pytest.approx(1, abs=1e-9)
    wanted = stored_svcca(wide, related_layers()[1], variance)
    np.testing.assert_allclose(result.coefficients[0, 2], wanted, atol=1e-9)


def test_fewer_frames_than_dimensions():
    """At most n − 1 directions are kept; what does not fit beside one another in n − 1 dimensions coincides."""
    layers = [np.random.default_rng(seed).standard_normal((20, 30)) for seed in (1, 2)]
    result = covariances(layers, 4).svcca(1.0)
    assert result.kept.tolist() == [19, 19]
    np.testing.assert_allclose(result.coefficients[0, 1], np.ones(19), atol=1e-9)
    result = covariances(layers, 4).svcca(0.8)
    excess = int(result.kept.sum()) - 19
    assert 0 < excess < result.kept.min()
    np.testing.assert_allclose(result.coefficients[0, 1], stored_svcca(*layers, 0.8), atol=1e-9)
    assert int((result.coefficients[0, 1] > 1 - 1e-9).sum()) == excess


def test_large_offsets_cost_no_digits():
    layers = related_layers()
    shifted = [layer + offset for layer, offset in zip(layers, (1e7, -1e7, 1e3, 1e8), strict=True)]
    plain, far = covariances(layers, 7), covariances(shifted, 7)
    torch.testing.assert_close(far.svcca().mean, plain.svcca().mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(far.cka(), plain.cka(), rtol=0, atol=1e-6)


def test_padding_is_left_out():
    layers = [layer.astype(np.float32) for layer in related_layers()]
    bounds = [(0, 200), (200, 230), (230, 700)]
    padded = []
    for layer in layers:
        batch = np.full((3, 480, layer.shape[1]), np.nan, np.float32)  # one that leaked would spoil everything
        for row, (start, stop) in enumerate(bounds):
            batch[row, : stop - start] = layer[start:stop]
        padded.append(torch.from_numpy(batch))
    total = Covariances()
    total.add(padded, torch.tensor([stop - start for start, stop in bounds]))
    assert total.frames == 700
    torch.testing.assert_close(total.svcca().mean, covariances(layers).svcca().mean, rtol=0, atol=1e-10)


@pytest.mark.parametrize("batches", [2, 50, 700])
def test_batches_may_be_cut_anywhere(batches):
    layers = related_layers()
    one, many = covariances(layers), covariances(layers, batches)
    assert one.frames == many.frames == 700
    torch.testing.assert_close(one.svcca().mean, many.svcca().mean, rtol=0, atol=1e-10)
    torch.testing.assert_close(one.cka(), many.cka(), rtol=0, atol=1e-10)


def test_more_frames_than_are_taken_at_a_time():
    layers = [mixed(2500, 8, 1), mixed(2500, 8, 2)]
    np.testing.assert_allclose(covariances(layers).svcca().coefficients[0, 1], stored_svcca(*layers), atol=1e-9)


def test_half_precision_is_summed_in_double_precision():
    layers = [torch.from_numpy(layer).bfloat16() for layer in related_layers()[:2]]
    total = Covariances()
    total.add([layer[None] for layer in layers], torch.tensor([700]))
    wanted = stored_svcca(*(layer.double().numpy() for layer in layers))
    np.testing.assert_allclose(total.svcca().coefficients[0, 1], wanted, atol=1e-9)


def test_what_cannot_be_compared_is_refused():
    x = torch.zeros(1, 3, 4)
    total = Covariances()
    with pytest.raises(SecateurError, match="on 0 frames, at least 2"):
        total.svcca()
    total.add([x, x], torch.tensor([1]))
    with pytest.raises(SecateurError, match="on 1 frames, at least 2"):
        total.cka()
    with pytest.raises(ValueError, match=r"widths \[4\] after layers of widths \[4, 4\]"):
        total.add([x], torch.tensor([3]))
    with pytest.raises(ValueError, match="5 frames in a batch of 3"):
        total.add([x, x], torch.tensor([5]))
    with pytest.raises(SecateurError, match=r"output 2 of 2 holds NaN or infinity"):
        total.add([x, x + torch.tensor(float("inf"))], torch.tensor([3]))
    with pytest.raises(SecateurError, match=r"cannot keep 99 of the variance"):
        total.svcca(99)
