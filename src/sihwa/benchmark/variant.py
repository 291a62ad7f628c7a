"""What is timed: each runtime, device, precision and number of threads that may decide here."""

from collections.abc import Sequence
from dataclasses import dataclass

from sihwa.inspector import Bundle, RuntimeChoice
from sihwa.inspector.choose_runtime import why_not
from sihwa.inspector.runtime.registry import check_choice, offered_choices
from sihwa.inspector.strict_json import Facts
from sihwa.inspector.verify import Verification


@dataclass(frozen=True)
class Variant:
    """One way to run the inspector; `threads` are of one inference on the CPU, 0 is all cores."""

    choice: RuntimeChoice
    threads: int

    def __str__(self) -> str:
        """Name it: `openvino cpu fp32, all cores`."""
        if self.choice.kind != "cpu":
            return _name(self.choice)
        cores = {0: "all cores", 1: "1 thread"}.get(self.threads, f"{self.threads} threads")
        return f"{_name(self.choice)}, {cores}"


class LeftOut(Facts, frozen=True):
    """What is not timed, and why."""

    name: str
    reason: str


def list_variants(
    bundle: Bundle,
    verification: Verification,
    devices: Sequence[str],
    threads: Sequence[int],
    runtimes: Sequence[str] = ("auto",),
) -> tuple[list[Variant], list[LeftOut]]:
    """Return what may decide on this machine, and what may not, with the reason.

    Devices and runtimes that are not named are in neither list; the runtime `auto` names all.
    One that does not exist raises ConfigError.
    """
    for device in devices:
        check_choice("auto", device, "auto")
    for runtime in runtimes:  # every one runs on the CPU, so this is about its name alone
        check_choice(runtime, "cpu", "auto")
    variants: list[Variant] = []
    left_out = []
    for choice, fault in offered_choices(bundle, devices):
        if "auto" not in runtimes and choice.runtime not in runtimes:
            continue
        reason = fault or why_not(bundle, verification, choice)
        if reason is None:
            # what a GPU runs does not depend on the threads
            counts = dict.fromkeys(threads if choice.kind == "cpu" else (0,))
            variants += [Variant(choice, count) for count in counts]
        else:
            left_out.append(LeftOut(_name(choice), reason))
    return variants, left_out


def _name(choice: RuntimeChoice) -> str:
    return f"{choice.runtime} {choice.device} {choice.precision}"
