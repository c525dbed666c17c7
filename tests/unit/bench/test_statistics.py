import pytest

from fitcheck.bench.statistics import ratios, spread, stable


def test_steady_rounds_are_stable() -> None:
    assert stable([1.0, 1.02, 0.99, 1.01, 1.0])


def test_wild_rounds_are_not() -> None:
    assert not stable([1.0, 0.5, 1.4, 0.9, 2.0])


def test_one_round_proves_nothing() -> None:
    assert spread([1.0]) == 0.0
    assert not stable([1.0])


def test_one_outlier_does_not_spoil_a_run() -> None:
    assert stable([1.0] * 14 + [9.0])


def test_ratios_go_pair_by_pair() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [])
