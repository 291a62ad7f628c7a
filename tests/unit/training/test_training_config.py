from collections.abc import Callable

import pytest

from sihwa.errors import ConfigError
from sihwa.training import FinetuneConfig, ProbeConfig, StagesConfig, config
from sihwa.training.config import LossConfig, MixConfig, OptimizerConfig, SelectionConfig

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProbeConfig(strengths=[]), "one or more positive numbers"),
        (lambda: ProbeConfig(strengths=[0.1, -1.0]), "one or more positive numbers"),
        (lambda: ProbeConfig(strengths=[NAN]), "one or more positive numbers"),
        (lambda: ProbeConfig(strengths=[INF]), "one or more positive numbers"),
        (lambda: ProbeConfig(strengths=[1], folds=1), r"folds must be in \[2, 1000\], got 1"),
        (lambda: ProbeConfig(strengths=[1], max_iterations=0), "max_iterations must be in"),
        (lambda: FinetuneConfig(epochs=0), r"training.epochs must be in \[1, 10000\], got 0"),
        (lambda: FinetuneConfig(ema=1.0), r"training.ema must be in \[0, 1\), got 1.0"),
        (lambda: FinetuneConfig(norm="group"), "training.norm must be one of train, frozen"),
        (lambda: FinetuneConfig(precision="int4"), "training.precision must be one of auto"),
        (lambda: StagesConfig(trained_share=1.0), "must be below 1 for training=stages"),
        (lambda: StagesConfig(views=0), r"training.views must be in \[1, 1000\], got 0"),
        (lambda: OptimizerConfig(name="adam"), "optimizer.name must be one of adamw, sgd"),
        (lambda: OptimizerConfig(layer_decay=0), r"optimizer.layer_decay must be in \[0.01, 1\]"),
        (lambda: LossConfig(name="hinge"), "loss.name must be one of cross_entropy, focal"),
        (lambda: LossConfig(class_balance=1.0), r"loss.class_balance must be in \[0, 1\), got 1"),
        (lambda: MixConfig(mixup=-1), r"mix.mixup must be 0 or in \[0.001, 10\], got -1"),
        (lambda: MixConfig(cutmix=1e-50), r"mix.cutmix must be 0 or in .*, got 1e-50"),
        (lambda: SelectionConfig(patience=3), "early stopping needs held-out images"),
        (lambda: SelectionConfig(metric="f1"), "selection.metric must be one of log_loss"),
    ],
)
def test_config_out_of_range_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_finetune_config_without_mlflow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "find_spec", lambda _: None)
    FinetuneConfig()
    with pytest.raises(ConfigError, match=r'pip install "sihwa\[mlflow\]"'):
        FinetuneConfig(mlflow="sqlite:///x.db")
