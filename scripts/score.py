"""Score a folder of pictures: python scripts/score.py INSPECTOR FOLDER --out scores.csv."""

import typer

from sihwa.cli import score
from sihwa.console import errors_as_lines

if __name__ == "__main__":
    with errors_as_lines():
        typer.run(score)
