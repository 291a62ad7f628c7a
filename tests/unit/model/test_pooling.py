import numpy as np
import torch
from scipy.special import logsumexp

from sihwa.model import Pooling


def test_pooling_is_log_mean_exp_and_its_mirror_for_accept_classes() -> None:
    logit = np.random.default_rng(0).normal(0, 3, (5, 4, 3))
    pooled = Pooling(4, 3, accepted=[1])(torch.from_numpy(logit.reshape(20, 3)))
    expected = logsumexp(logit, axis=1) - np.log(4)
    expected[:, 1] = -(logsumexp(-logit[:, :, 1], axis=1) - np.log(4))
    np.testing.assert_allclose(pooled.numpy(), expected)


def test_pooling_equal_places_give_their_own_logit() -> None:
    logit = torch.tensor([[1.5, -200.0]]).repeat(6, 1)
    torch.testing.assert_close(Pooling(3, 2, [0])(logit), logit[:2])


def test_pooling_one_bad_place_of_many_makes_the_image_bad() -> None:
    logit = torch.tensor([[8.0, -8.0]] * 23 + [[-20.0, 20.0]])
    [[good, bad]] = Pooling(24, 2, accepted=[0])(logit).tolist()
    assert bad > 10
    assert good < -10


def test_pooling_large_logits_stay_finite() -> None:
    assert Pooling(2, 2, [0])(torch.tensor([[500.0, -500.0], [-500.0, 500.0]])).isfinite().all()
