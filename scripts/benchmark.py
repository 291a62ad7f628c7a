"""Measure how fast an inspector is here: python scripts/benchmark.py INSPECTOR --images FOLDER."""

try:
    from sihwa.terminal.console import loading

    with loading():
        from sihwa.commands.cli import benchmark, run_alone
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error.name} is not installed; install this folder first: pip install --editable ."
    ) from None

if __name__ == "__main__":
    run_alone(benchmark)
