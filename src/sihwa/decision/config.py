"""Settings of the decision, one dataclass per policy."""

from dataclasses import dataclass, field

from sihwa.errors import ConfigError, check_settings

PER = ("image", "part")


@dataclass
class DecisionConfig:
    """Settings of every policy."""

    name: str = "???"
    """Name of the option, as shown in reports."""
    unknown_rate: float = 0.01
    """Share of ordinary images that may be sent to review as unknown, in [0, 1); 0 sends none."""
    per: str = "image"
    """What escapes, overkill and review count: image, or part, where dataset.group names the
    parts."""

    def __post_init__(self) -> None:
        check_settings("decision.", self, unknown_rate="[0, 1)")
        if self.per not in PER:
            raise ConfigError(f"decision.per must be one of {', '.join(PER)}; got {self.per!r}")


@dataclass
class EvenOddsConfig(DecisionConfig):
    """A part that is more likely good than defective is accepted; nothing is proven."""


@dataclass
class TopClassConfig(DecisionConfig):
    """The most probable class decides; nothing is proven."""


@dataclass
class SelectiveConfig(DecisionConfig):
    """The most probable class decides, and images on which it may be wrong go to review."""

    errors: float = 0.01
    """Greatest share of the decided images that get the wrong class, in (0, 1)."""
    confidence: float = 0.95
    """How sure the proof is, in (0, 1)."""
    best_provable: bool = False
    """Take the lowest rate that the calibration images can prove, if they cannot prove the one
    asked for; otherwise the run is refused."""

    def __post_init__(self) -> None:
        DecisionConfig.__post_init__(self)
        _refuse_parts(self)
        check_settings("decision.", self, errors="(0, 1)", confidence="(0, 1)")


@dataclass
class EscapeBoundConfig(DecisionConfig):
    """Escapes and overkill are bounded, and what would break a bound goes to review."""

    escapes: float = 0.01
    """Greatest share of defective images that are accepted, in (0, 1)."""
    overkill: float = 0.05
    """Greatest share of good images that are rejected, in (0, 1)."""
    class_escapes: dict[str, float] = field(default_factory=dict)
    """Greatest share of accepted images of single defect classes: {crack: 0.001}."""
    confidence: float = 0.95
    """How sure each proof is, in (0, 1)."""
    best_provable: bool = False
    """Take the lowest rates that the calibration images can prove, if they cannot prove those
    asked for; otherwise the run is refused."""

    def __post_init__(self) -> None:
        DecisionConfig.__post_init__(self)
        check_settings("decision.", self, escapes="(0, 1)", overkill="(0, 1)", confidence="(0, 1)")
        for name, rate in self.class_escapes.items():
            if not 0 < rate < 1:
                raise ConfigError(f"decision.class_escapes.{name} must be in (0, 1), got {rate}")


@dataclass
class CostConfig(DecisionConfig):
    """The decision of least expected cost."""

    escape: float = "???"  # type: ignore[assignment]  # required, as Hydra marks it
    """What an accepted defective part costs, above 0."""
    overkill: float = "???"  # type: ignore[assignment]
    """What a rejected good part costs, above 0."""
    review: float = "???"  # type: ignore[assignment]
    """What looking at a part costs, above 0; whoever reviews is taken to decide right."""
    currency: str = ""
    """Of the three costs, such as KRW; for reports."""
    prevalence: float | None = None
    """Share of defective parts on the line, in (0, 1); null for that of the calibration images."""

    def __post_init__(self) -> None:
        DecisionConfig.__post_init__(self)
        _refuse_parts(self)
        costs = "(0, 1e15)"
        check_settings("decision.", self, escape=costs, overkill=costs, review=costs)
        if self.prevalence is not None:
            check_settings("decision.", self, prevalence="(0, 1)")


def _refuse_parts(config: DecisionConfig) -> None:
    if config.per == "part":
        raise ConfigError(
            f"decision.per=part: decision={config.name} decides single images. Use "
            "decision=escape_bound, even_odds or top_class"
        )
