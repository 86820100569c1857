"""Subsequence dynamic time warping against hand-computed costs and an enumeration of all paths."""

from itertools import product

import pytest
import torch

from secateur.ssl.tasks.dtw import costs, distances, normalize, subsequence_costs


def every_path(distance: torch.Tensor) -> float:
    """The least mean over all paths, tried one by one."""
    rows, columns = distance.shape
    best = float("inf")
    for start in range(columns):
        for steps in product((0, 1, 2), repeat=rows - 1):
            place, total = start, distance[0, start].item()
            for row, step in enumerate(steps, 1):
                place += step
                if place >= columns:
                    break
                total += distance[row, place].item()
            else:
                best = min(best, total / rows)
    return best


def test_a_cost_by_hand():
    distance = torch.tensor([[[5.0, 1.0, 9.0, 9.0], [9.0, 8.0, 2.0, 9.0], [9.0, 9.0, 7.0, 0.5]]])
    # 1 (second frame) → 2 (third) → 0.5 (fourth).
    assert subsequence_costs(distance).item() == pytest.approx(3.5 / 3)


def test_a_path_may_stay_or_leave_out_one_frame_but_not_two():
    far = 9.0
    stay = torch.tensor([[[0.0, far], [0.0, far]]])
    skip_one = torch.tensor([[[0.0, far, far], [far, far, 0.0]]])
    skip_two = torch.tensor([[[0.0, far, far, far], [far, far, far, 0.0]]])
    assert subsequence_costs(stay).item() == 0.0
    assert subsequence_costs(skip_one).item() == 0.0
    assert subsequence_costs(skip_two).item() == pytest.approx(far / 2)


def test_costs_are_the_least_of_all_paths():
    generator = torch.Generator().manual_seed(0)
    distance = torch.rand(6, 5, 7, generator=generator)
    expected = [every_path(matrix) for matrix in distance]
    assert subsequence_costs(distance).tolist() == pytest.approx(expected)


def test_distances_are_scaled_for_each_frame_of_the_query_and_end_with_the_document():
    query = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    document = torch.tensor([[[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [7.0, 7.0]]])
    found = distances(query, document, torch.tensor([3]))[0]
    # Cosines of the first query frame: 1, 0, −1 → exp(1 − cos) − 1: 0, e − 1, e² − 1, scaled by the last.
    e = torch.tensor(1.0).exp()
    assert found[0, :3].tolist() == pytest.approx([0.0, ((e - 1) / (e**2 - 1)).item(), 1.0])
    assert found[1, :3].tolist() == pytest.approx([1.0, 0.0, 1.0])
    assert found[:, 3].isinf().all()


def test_a_query_is_found_where_it_is_said_slower():
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(8, 16, generator=generator)
    noise = torch.randn(2, 40, 16, generator=generator)
    documents = noise.clone()
    documents[1, 10:26] = query.repeat_interleave(2, dim=0)
    slower, lengths = query.repeat_interleave(2, dim=0), torch.tensor([40, 40])
    without, with_it = costs(slower, documents, lengths).tolist()
    assert with_it < 1e-3 < without
    padded = torch.nn.functional.pad(documents, (0, 0, 0, 9), value=100.0)
    torch.testing.assert_close(costs(query, padded, lengths), costs(query, documents, lengths))


def test_normalised_frames_have_mean_zero_and_deviation_one():
    states = normalize([5 + 3 * torch.randn(30, 4), torch.randn(20, 4)])
    everything = torch.cat(states)
    torch.testing.assert_close(everything.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(everything.std(0), torch.ones(4))
