"""Score a folder of images: python scripts/score.py INSPECTOR FOLDER --out scores.csv."""

try:
    from sihwa.terminal.console import loading

    with loading():
        from sihwa.commands.cli import run_alone, score
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error.name} is not installed; install this folder first: pip install --editable ."
    ) from None

if __name__ == "__main__":
    run_alone(score)
