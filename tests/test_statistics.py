"""Statistics against published and hand-computed values."""

import pytest
from scipy.stats import binomtest

from eval.statistics import agreement, mcnemar, paired_bootstrap


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 5), (5, 0), (3, 9), (10, 10), (40, 61)])
def test_mcnemar_is_the_exact_binomial_test(lost: int, won: int) -> None:
    expected = binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert mcnemar(lost, won) == pytest.approx(expected)


def test_the_bootstrap_is_paired_and_seeded() -> None:
    before = [0.0, 1.0] * 50
    better = paired_bootstrap(before, [1.0] * 100)
    assert better.value == pytest.approx(0.5)
    assert 0.35 < better.low < 0.5 < better.high < 0.65
    assert paired_bootstrap(before, [1.0] * 100) == better
    assert paired_bootstrap(before, [1.0] * 100, seed=1) != better
    same = paired_bootstrap(before, before)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_a_bootstrap_of_nothing_knows_nothing() -> None:
    assert (paired_bootstrap([], []).low, paired_bootstrap([], []).high) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="shorter"):
        paired_bootstrap([1.0], [])


def test_kappa_is_cohens() -> None:
    # Two readers of 50 grant proposals, the usual textbook example: 0.7 agreed, 0.5 by chance.
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5
    pairs += [("no", "yes")] * 10 + [("no", "no")] * 15
    found = agreement([a for a, _ in pairs], [b for _, b in pairs])
    assert found.kappa == pytest.approx(0.4)
    assert (found.agreed.successes, found.agreed.total) == (35, 50)
    assert found.table == {
        ("yes", "yes"): 20,
        ("yes", "no"): 5,
        ("no", "yes"): 10,
        ("no", "no"): 15,
    }


def test_kappa_is_undefined_where_chance_explains_all() -> None:
    assert agreement(["solved"] * 3, ["solved"] * 3).kappa is None
    assert agreement([], []).kappa is None
    assert agreement(["solved"], ["unsolved"]).kappa == 0
