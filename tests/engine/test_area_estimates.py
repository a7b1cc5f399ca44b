"""The estimators against the published worked examples, brute force over points, and the cases without an answer."""

from __future__ import annotations

import numpy as np
import pytest

from engine.area_estimates import Z95, Estimates, allocation, anticipated_standard_error, estimate, sample_size
from engine.errors import EngineError

OLOFSSON_COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
OLOFSSON_PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES_PER_PIXEL = 0.09


def by_map_class(counts: np.ndarray) -> np.ndarray:
    """(q, q) counts of a sample whose strata are the map classes as (h, q, q)."""
    return np.array([counts * (np.arange(len(counts)) == h)[:, None] for h in range(len(counts))])


def half_width(standard_error: np.ndarray | float) -> np.ndarray:
    return np.round(Z95 * np.asarray(standard_error), 2)


class TestOlofsson2014:
    """Table 8 and page 54: a map of forest change from Landsat pixels of 30 m."""

    found = estimate(OLOFSSON_PIXELS, by_map_class(OLOFSSON_COUNTS))

    def test_areas_in_hectares(self) -> None:
        whole = OLOFSSON_PIXELS.sum() * HECTARES_PER_PIXEL
        assert np.round(self.found.class_share * whole) == pytest.approx([21158, 11686, 285770, 581386])
        assert np.round(Z95 * self.found.class_share_se * whole) == pytest.approx([6158, 3756, 15510, 16281])

    def test_overall_accuracy(self) -> None:
        assert (round(self.found.overall_accuracy, 2), half_width(self.found.overall_accuracy_se)) == (0.95, 0.02)

    def test_users_accuracy(self) -> None:
        assert list(np.round(self.found.users_accuracy, 2)) == [0.88, 0.73, 0.93, 0.96]
        assert list(half_width(self.found.users_accuracy_se)) == [0.07, 0.10, 0.04, 0.02]

    def test_producers_accuracy(self) -> None:
        assert list(np.round(self.found.producers_accuracy, 2)) == [0.75, 0.85, 0.93, 0.96]
        assert half_width(self.found.producers_accuracy_se)[0] == 0.21

    def test_producers_accuracy_varies_as_equation_7_says(self) -> None:
        """Written out as printed: the sum leaves the class's own stratum out."""
        area, points = OLOFSSON_PIXELS.astype(float), OLOFSSON_COUNTS.sum(axis=1)
        share = OLOFSSON_COUNTS / points[:, None]
        users, total = np.diag(share), area @ share
        producers = area * users / total
        for j in range(4):
            own = area[j] ** 2 * (1 - producers[j]) ** 2 * users[j] * (1 - users[j]) / (points[j] - 1)
            other = sum(area[i] ** 2 * share[i, j] * (1 - share[i, j]) / (points[i] - 1) for i in range(4) if i != j)
            assert self.found.producers_accuracy_se[j] ** 2 == pytest.approx((own + producers[j] ** 2 * other) / total[j] ** 2)

    def test_matrix_adds_up(self) -> None:
        assert self.found.matrix.sum() == pytest.approx(1)
        assert self.found.matrix.sum(axis=1) == pytest.approx(OLOFSSON_PIXELS / OLOFSSON_PIXELS.sum())
        assert self.found.matrix.sum(axis=0) == pytest.approx(self.found.class_share)
        assert self.found.notes == ()

    def test_areas_are_in_the_unit_they_came_in(self) -> None:
        other = estimate(OLOFSSON_PIXELS / 7, by_map_class(OLOFSSON_COUNTS))
        assert other.class_share_se == pytest.approx(self.found.class_share_se)


def test_olofsson_2013_example_1() -> None:
    counts = np.array([[97, 0, 3], [3, 279, 18], [2, 1, 97]])
    found = estimate([22353, 1122543, 610228], by_map_class(counts))
    assert found.class_share[0] * 1755124 == pytest.approx(45112.4, abs=0.1)
    assert Z95 * found.class_share_se[0] * 1755124 == pytest.approx(21073, abs=1)
    assert found.users_accuracy == pytest.approx([0.97, 0.93, 0.97])
    assert found.producers_accuracy[0] == pytest.approx(0.48, abs=0.005)
    assert found.overall_accuracy == pytest.approx(0.944, abs=0.0005)


class TestStehman2014:
    """The numerical example of his section 4: strata A to D, 10 points each, that are not the map classes."""

    stratum = np.repeat(list("ABCD"), 10)
    mapped = np.array(list("AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"))
    seen = np.array(list("AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"))

    def estimates(self) -> Estimates:
        counts = np.zeros((4, 4, 4), np.int64)
        np.add.at(counts, tuple(np.searchsorted(list("ABCD"), labels) for labels in (self.stratum, self.mapped, self.seen)), 1)
        return estimate([40000, 30000, 20000, 10000], counts)

    def test_estimates(self) -> None:
        found = self.estimates()
        assert (found.class_share[0], found.class_share[2]) == (pytest.approx(0.35), pytest.approx(0.20))
        assert found.overall_accuracy == pytest.approx(0.63)
        assert found.users_accuracy[1] == pytest.approx(0.574, abs=0.0005)
        assert found.producers_accuracy[1] == pytest.approx(0.794, abs=0.0005)
        assert found.matrix[1, 2] == pytest.approx(0.08)

    def test_standard_errors(self) -> None:
        found = self.estimates()
        assert (found.class_share_se[0], found.class_share_se[2]) == (pytest.approx(0.082, abs=5e-4), pytest.approx(0.064, abs=5e-4))
        assert found.overall_accuracy_se == pytest.approx(0.085, abs=5e-4)
        assert found.users_accuracy_se[1] == pytest.approx(0.125, abs=5e-4)
        assert found.producers_accuracy_se[1] == pytest.approx(0.117, abs=5e-4)

    def test_against_the_formulas_over_points(self) -> None:
        """User's accuracy of B, with the variances and covariances of the points themselves (equation 28)."""
        found, area = self.estimates(), dict(zip("ABCD", (40000, 30000, 20000, 10000), strict=True))
        y, x = ((self.mapped == "B") & (self.seen == "B")) * 1.0, (self.mapped == "B") * 1.0
        within = {h: self.stratum == h for h in "ABCD"}
        total_x = sum(area[h] * x[within[h]].mean() for h in "ABCD")
        ratio = sum(area[h] * y[within[h]].mean() for h in "ABCD") / total_x
        variance = 0.0
        for h in "ABCD":
            (var_y, cov), (_, var_x) = np.cov(y[within[h]], x[within[h]])
            variance += area[h] ** 2 * (var_y + ratio**2 * var_x - 2 * ratio * cov) / 10 / total_x**2
        assert (found.users_accuracy[1], found.users_accuracy_se[1]) == (pytest.approx(ratio), pytest.approx(variance**0.5))


class TestNoAnswer:
    COUNTS = by_map_class(np.array([[8, 2], [1, 19]]))

    def test_one_point_in_a_stratum_has_no_standard_error(self) -> None:
        counts = self.COUNTS.copy()
        counts[1] = [[0, 0], [0, 1]]
        found = estimate([1, 9], counts, ("predicted", "rest"))
        assert found.class_share == pytest.approx([0.08, 0.92])
        assert np.isnan(found.class_share_se).all() and np.isnan(found.overall_accuracy_se)
        assert found.notes == ("One point of the stratum rest is labelled: there is no standard error.",)

    def test_no_point_in_a_stratum_has_no_estimate(self) -> None:
        counts = self.COUNTS.copy()
        counts[0] = 0
        found = estimate([1, 9], counts)
        assert np.isnan(found.class_share).all() and np.isnan(found.overall_accuracy) and np.isnan(found.matrix).all()
        assert "stratum 1" in found.notes[0]

    def test_a_class_that_nobody_saw(self) -> None:
        found = estimate([1, 9], by_map_class(np.array([[0, 10], [0, 20]])))
        assert found.class_share == pytest.approx([0, 1])
        assert found.users_accuracy[0] == 0 and np.isnan(found.producers_accuracy[0])

    def test_a_class_that_is_not_on_the_map(self) -> None:
        found = estimate([10.0], np.array([[[0, 0], [3, 7]]]))
        assert np.isnan(found.users_accuracy[0]) and found.producers_accuracy[0] == 0
        assert found.class_share[0] == pytest.approx(0.3)

    @pytest.mark.parametrize("points", [0, 1, 30])
    def test_a_stratum_of_no_area_says_nothing(self, points: int) -> None:
        counts = np.concatenate([self.COUNTS, [[[points, 0], [0, 0]]]])
        found, without = estimate([1, 9, 0], counts), estimate([1, 9], self.COUNTS)
        assert found.notes == () and found.class_share_se == pytest.approx(without.class_share_se)

    def test_nothing_has_an_area(self) -> None:
        with pytest.raises(EngineError, match="No stratum has an area"):
            estimate([0, 0], self.COUNTS)


class TestDesign:
    AREA, ACCURACY = OLOFSSON_PIXELS, (0.70, 0.60, 0.90, 0.95)

    def test_sample_size_of_olofsson_2014(self) -> None:
        """Section 5.1.1: anticipated user's accuracies and a standard error of 0.01 need 641 points."""
        assert sample_size(self.AREA, self.ACCURACY, 0.01) == 641

    def test_the_wanted_standard_error_is_reached(self) -> None:
        size = sample_size(self.AREA, self.ACCURACY, 0.002)
        points = allocation(size, self.AREA, self.ACCURACY, 2, optimal=True)
        assert points.sum() == size
        assert anticipated_standard_error(self.AREA, self.ACCURACY, points) == pytest.approx(0.002, rel=2e-3)

    def test_in_proportion_to_area(self) -> None:
        assert list(allocation(1000, [1, 2, 7], [0.9] * 3, 2, optimal=False)) == [100, 200, 700]

    def test_at_least_the_minimum_and_the_others_share_what_is_left(self) -> None:
        points = allocation(641, self.AREA, self.ACCURACY, 75, optimal=False)
        assert list(points[:2]) == [75, 75] and points.sum() == 641
        assert points[3] / points[2] == pytest.approx(6.45 / 3.2, rel=0.01)

    def test_a_minimum_may_push_the_next_stratum_below_it(self) -> None:
        assert list(allocation(100, [1, 12, 87], [0.9] * 3, 15, optimal=False)) == [15, 15, 70]

    def test_more_points_where_the_minima_need_more(self) -> None:
        assert list(allocation(10, [1, 2, 7], [0.9] * 3, 50, optimal=False)) == [50, 50, 50]

    def test_no_points_where_there_is_no_area(self) -> None:
        assert list(allocation(100, [0, 1, 1], [0.9] * 3, 10, optimal=False)) == [0, 50, 50]

    def test_a_stratum_that_is_surely_right_still_gets_its_minimum(self) -> None:
        assert list(allocation(100, [1, 1], [1.0, 0.5], 10, optimal=True)) == [10, 90]
