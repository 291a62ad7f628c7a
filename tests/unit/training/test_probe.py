import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from sihwa.errors import DatasetError
from sihwa.model import Network, create_network
from sihwa.training import ProbeConfig
from sihwa.training.probe import fit_probe
from tests.helpers import tiny_config


def config(**changes: object) -> ProbeConfig:
    return ProbeConfig(**{"name": "probe", "strengths": [0.01, 0.1], **changes})  # type: ignore[arg-type]


def clouds(classes: int, each: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Overlapping Gaussian clouds with very different scales per coordinate."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(classes), each)
    centre = rng.normal(size=(classes, 256))
    scale = np.logspace(-2, 2, 256)
    points = (centre[label] + 2 * rng.normal(size=(len(label), 256))) * scale + 5
    points[:, 3] = 7.0  # a coordinate that never varies
    return points.astype(np.float32), label


def network(classes: int) -> Network:
    return create_network(tiny_config(), classes)


def singles(label: NDArray[np.int64]) -> list[str]:
    return [str(index) for index in range(len(label))]


@pytest.mark.parametrize("classes", [2, 4])
def test_fit_probe_network_decides_as_scikit_learn_and_repeats(classes: int) -> None:
    points, label = clouds(classes, 30)
    trained = network(classes)
    fit = fit_probe(trained, points[:, None], label, singles(label), config(), seed=0)

    wide = points.astype(np.float64)
    deviation = wide.std(0)
    # coordinates that hardly fire are not raised to the level of the others
    least = 0.25 * np.sqrt(np.mean(deviation**2))
    assert deviation.min() < least < deviation.max()
    standard = (wide - wide.mean(0)) / np.maximum(deviation, least)
    reference = LogisticRegression(C=fit.strength, max_iter=2000).fit(standard, label)
    with torch.no_grad():
        ours = torch.softmax(trained.classifier(torch.from_numpy(points)), 1).numpy()
    np.testing.assert_allclose(ours, reference.predict_proba(standard), atol=1e-4)
    assert fit.strength == min(fit.log_loss, key=lambda strength: fit.log_loss[strength])
    assert fit.converged
    again = network(classes)
    fit_probe(again, points[:, None], label, singles(label), config(), seed=0)
    assert torch.equal(again.classifier.weight, trained.classifier.weight)


def test_fit_probe_duplicates_in_one_group_do_not_help() -> None:
    # Random labels cannot be learned, unless a duplicate of the held-out image is in the training
    # folds. With duplicates in one group, weak regularisation must look bad.
    rng = np.random.default_rng(0)
    points = np.repeat(rng.normal(size=(40, 256)), 2, axis=0).astype(np.float32)
    label = np.repeat(rng.integers(0, 2, 40), 2)
    pairs = [str(index // 2) for index in range(80)]
    apart = fit_probe(
        network(2), points[:, None], label, singles(label), config(strengths=[10.0]), seed=0
    )
    together = fit_probe(
        network(2), points[:, None], label, pairs, config(strengths=[10.0]), seed=0
    )
    assert together.log_loss[10.0] > 0.5 > apart.log_loss[10.0]


def test_fit_probe_one_group_per_class_is_refused() -> None:
    points, label = clouds(2, 5)
    with pytest.raises(DatasetError, match="at least two groups"):
        fit_probe(
            network(2), points[:, None], label, [str(kind) for kind in label], config(), seed=0
        )


def test_fit_probe_one_image_per_class_needs_a_single_strength() -> None:
    points, label = clouds(3, 1)
    with pytest.raises(DatasetError, match=r"name one strength, such as"):
        fit_probe(network(3), points[:, None], label, singles(label), config(), seed=0)
    trained = network(3)
    fit = fit_probe(
        trained, points[:, None], label, singles(label), config(strengths=[0.1]), seed=0
    )
    assert (fit.strength, fit.log_loss) == (0.1, {})
    with torch.no_grad():
        assert trained.classifier(torch.from_numpy(points)).argmax(1).tolist() == [0, 1, 2]


def test_fit_probe_too_few_steps_is_not_converged() -> None:
    points, label = clouds(3, 30)
    fit = fit_probe(
        network(3), points[:, None], label, singles(label), config(max_iterations=1), seed=0
    )
    assert not fit.converged
