"""Score a folder of images: python scripts/score.py INSPECTOR FOLDER --out scores.csv."""

try:
    from sihwa.terminal.guard import guarding
except ModuleNotFoundError:
    raise SystemExit("error: Sihwa is not installed; run `pip install --editable .`") from None

if __name__ == "__main__":
    with guarding():
        from sihwa.commands.cli import run_alone, score

        run_alone(score)
