"""The Pareto front by hand."""

from secateur.statistics.pareto import on_front


def test_points_that_another_one_beats_are_not_on_the_front():
    points = [(10.0, 5.0), (12.0, 4.0), (12.0, 5.0), (9.0, 9.0), (9.5, 9.0), (10.0, 5.0)]
    # (12, 5) is beaten by (10, 5), (9.5, 9) by (9, 9); equal points stand together.
    assert on_front(points) == [True, True, False, True, False, True]


def test_no_point_and_one_point():
    assert on_front([]) == [] and on_front([(1.0,)]) == [True]
