"""A linear order, learnt from lists."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import approx_fprime

from models.listwise import _cross_entropy, fit_listwise

LISTS, EACH = 200, 12
SIZES = np.full(LISTS, EACH)


def _lists() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return lists whose wanted candidate is the one of the largest second column.

    The third is the same for all candidates of a list, the last for all there are.
    """
    random = np.random.default_rng(0)
    features = random.normal(size=(LISTS, EACH, 4)).astype(np.float32)
    features[..., 2] = features[:, :1, 2]
    features[..., 3] = 5
    labels = features[..., 1] == features[..., 1].max(axis=1, keepdims=True)
    return features.reshape(-1, 4), labels.ravel().astype(np.float32)


def test_what_tells_candidates_apart_gets_the_weight() -> None:
    """Noise gets little, what is the same in a list or everywhere nothing."""
    features, labels = _lists()
    weights = fit_listwise(features, labels, SIZES, np.ones(len(labels)), np.ones(LISTS))
    assert weights[1] > 1
    assert abs(weights[0]) < 0.1 * weights[1]
    np.testing.assert_allclose(weights[2:], 0, atol=1e-3)


def test_slopes_are_those_of_the_loss() -> None:
    """Finite differences find the same."""
    random = np.random.default_rng(1)
    scores, counts = random.normal(size=7), random.random(7) + 0.5
    wanted, sizes = np.array([1, 0, 0, 1, 1, 0, 0.0]), np.array([3, 4])
    _, slopes = _cross_entropy(scores, wanted, sizes, counts)
    told = approx_fprime(scores, lambda at: _cross_entropy(at, wanted, sizes, counts)[0])
    np.testing.assert_allclose(slopes, told, atol=1e-5)


def test_a_row_that_stands_for_two_is_two_rows() -> None:
    """Counting an unwanted row twice, or giving it twice, is the same."""
    scores = np.array([0.3, -0.2, 0.7])
    once = _cross_entropy(scores, np.array([1, 0, 0.0]), np.array([3]), np.array([1, 1, 2.0]))
    twice = _cross_entropy(
        np.append(scores, 0.7), np.array([1, 0, 0, 0.0]), np.array([4]), np.ones(4)
    )
    assert np.isclose(once[0], twice[0])
    np.testing.assert_allclose(once[1][:2], twice[1][:2])


def test_lists_count_by_their_importance() -> None:
    """Where two halves want opposite things, the one that counts for more is followed."""
    features, labels = _lists()
    halves = np.repeat(np.arange(LISTS) < LISTS // 2, EACH)
    features[~halves, 1] *= -1
    for important in (True, False):
        importance = np.where(np.arange(LISTS) < LISTS // 2, important, not important) + 0.1
        weights = fit_listwise(features, labels, SIZES, np.ones(len(labels)), importance)
        assert bool(weights[1] > 0.3) is important
        assert bool(weights[1] < -0.3) is not important


def test_wanting_much_counts_by_its_square_root() -> None:
    """One list of four wanted weighs as two lists of one against what they want."""
    one = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    much = np.repeat(np.array([[0, 1], [1, 0]], np.float32), (4, 2), axis=0)
    lists = [(one, [1, 0, 0])] * 2 + [(much, [1, 1, 1, 1, 0, 0])]
    features = np.concatenate([each for each, _ in lists])
    labels = np.concatenate([told for _, told in lists]).astype(np.float32)
    sizes = np.array([len(each) for each, _ in lists])
    alike = fit_listwise(features, labels, sizes, np.ones(len(labels)), np.ones(3))
    more = fit_listwise(features, labels, sizes, np.ones(len(labels)), np.sqrt([1, 1, 4]))
    assert more[1] - more[0] > alike[1] - alike[0]
