"""Score a folder of pictures: python scripts/score.py INSPECTOR FOLDER --out scores.csv."""

try:
    from sihwa.console import errors_as_lines, loading

    with loading():
        import typer

        from sihwa.score_command import score
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error.name} is not installed; install this folder first: pip install --editable ."
    ) from None

if __name__ == "__main__":
    with errors_as_lines():
        typer.run(score)
