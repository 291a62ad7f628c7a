"""Measure how fast an inspector is here: python scripts/benchmark.py INSPECTOR --images FOLDER."""

try:
    from sihwa.terminal.guard import guarding
except ModuleNotFoundError:
    raise SystemExit("error: Sihwa is not installed; run `pip install --editable .`") from None

if __name__ == "__main__":
    with guarding():
        from sihwa.commands.cli import benchmark, run_alone

        run_alone(benchmark)
