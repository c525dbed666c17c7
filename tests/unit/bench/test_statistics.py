import pytest

from fitcheck.bench.statistics import doubt, ratios, spread, stable


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


STEADY = [30e9, 30.2e9, 29.9e9, 30.1e9, 30e9]


def test_steady_shares_below_the_read_are_not_doubted() -> None:
    assert doubt([0.95, 0.96, 0.94, 0.95, 0.95], STEADY) is None


def test_a_share_above_the_read_is_doubted() -> None:
    assert "slower than what they bound (104%)" in (doubt([1.04] * 5, STEADY) or "")


def test_reads_that_move_are_doubted_however_steady_the_shares() -> None:
    moving = [30e9, 36e9, 33e9, 40e9, 28e9]
    assert "plain reads moved" in (doubt([0.95] * 5, moving) or "")


def test_shares_that_disagree_are_doubted() -> None:
    assert "rounds disagree" in (doubt([0.95, 0.5, 0.7, 0.9, 0.6], STEADY) or "")


def test_one_round_is_doubted() -> None:
    assert "one round" in (doubt([0.95], STEADY[:1]) or "")
