"""Which runtime, device and precision run an inspector."""

from dataclasses import dataclass

PRECISIONS = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True)
class RuntimeChoice:
    """One way to run an inspector: which library, where, how precisely.

    In every precision, preprocessing and everything after the feature map stay in float32: they
    cost little and decide much. See docs/decisions/0005-what-stays-in-float32.md.
    """

    runtime: str
    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.runtime} on {self.device} in {self.precision}"

    @property
    def kind(self) -> str:
        """The kind of device: `cpu` or `cuda`."""
        return self.device.partition(":")[0]

    @property
    def device_index(self) -> int:
        """Which of several devices of its kind, from 0."""
        return int(self.device.partition(":")[2] or 0)
