"""Sixty and more untidy folders and tables: what is right for each, and what the program does.

    python benchmarks/zoo.py
    python benchmarks/zoo.py --only link --keep DRAWN

Each case is drawn into a temporary folder and read as a training reads it. Right is either how many
images and classes are read, and what a note says, or what the one line of the error says. Of those
that are refused, `--programs` also go through `python train.py`. Exit code 1 if a case differs.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import zoo_folders  # noqa: F401 -- they register their cases, in this order
import zoo_images  # noqa: F401
import zoo_tables  # noqa: F401
from zoo_case import FOUND, Case, settings_of

from sihwa.dataset import Manifest, read_dataset
from sihwa.errors import SihwaError
from sihwa.run.compose import compose_config
from sihwa.terminal.names import printable

_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Check every case, print a line for each, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="part of the names of the cases")
    parser.add_argument("--programs", type=int, default=10, help="cases that train.py refuses")
    parser.add_argument("--keep", type=Path, help="new folder for what is drawn")
    flags = parser.parse_args()
    cases = [case for case in FOUND if flags.only in case.name]
    with tempfile.TemporaryDirectory() as folder:
        wrong = run(cases, flags.programs, flags.keep or Path(folder))
    print(f"{len(cases) - wrong} of {len(cases)} cases are right")
    return int(wrong > 0)


def run(cases: Sequence[Case], programs: int, folder: Path) -> int:
    """Check cases in a folder, print a line for each, and return how many differ."""
    refused = [case for case in cases if case.images is None]
    chosen = refused[:: max(1, len(refused) // programs)][:programs] if programs else []
    wrong = 0
    for number, case in enumerate(cases):
        place = folder / f"{number:03d}"
        place.mkdir(parents=True)
        settings = settings_of(case, place)
        found = difference(case, settings)
        if not found and case in chosen:
            found = difference_of_program(case, settings, place)
        wrong += bool(found)
        outcome = f"WRONG  {found}" if found else "refused" if case.images is None else "read"
        print(printable(f"{case.name:45} {outcome}"), flush=True)
    return wrong


def difference(case: Case, settings: Sequence[str]) -> str:
    """Return what differs from what is right when the library reads a case; empty if nothing."""
    try:
        manifest = read_dataset(compose_config(settings).dataset, seed=0)
    except SihwaError as error:
        if case.images is not None:
            return f"refused: {error}"
        said = "; ".join([*getattr(error, "__notes__", ()), str(error)])
        return "" if re.search(case.says, said) else f"{case.says!r} is not in: {said}"
    except Exception as error:
        return f"a defect: {error!r}"
    return _difference_of_manifest(case, manifest)


def _difference_of_manifest(case: Case, manifest: Manifest) -> str:
    if case.images is None:
        return f"read: {manifest.table.num_rows} images of {', '.join(manifest.classes)}"
    if manifest.table.num_rows != case.images:
        return f"{manifest.table.num_rows} images instead of {case.images}"
    if manifest.classes != case.classes:
        return f"classes {manifest.classes} instead of {case.classes}"
    if case.silent and manifest.notes:
        return f"a note where none is due: {manifest.notes[0]}"
    if not re.search(case.says, "; ".join(manifest.notes)):
        return f"no note says {case.says!r}: {manifest.notes}"
    return ""


def difference_of_program(case: Case, settings: Sequence[str], place: Path) -> str:
    """Return what differs when `python train.py` refuses a case: one line, exit code 1 or 2."""
    command = [sys.executable, str(_ROOT / "train.py"), *settings, f"output_dir={place / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if done.returncode not in (1, 2) or errors != lines[-1:]:
        return f"train.py: exit {done.returncode}: {lines[-1:]}"
    return "" if re.search(case.says, done.stderr) else f"train.py: {errors[0]}"


if __name__ == "__main__":
    sys.exit(main())
