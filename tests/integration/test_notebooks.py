from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.integration.conftest import settings

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def execute(name: str, overrides: list[str] | None, folder: Path) -> list[str]:
    """Run a notebook in `folder`, with other settings if given; return its output types."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if overrides is not None and "parameters" in cell.metadata.get("tags", []):
            cell.source = f"overrides = {overrides!r}"
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [kind for output in outputs for kind in output.get("data", {})]


def test_first_inspector_notebook_trains_scores_and_shows_evidence(
    parts: Path, tmp_path: Path
) -> None:
    shown = execute("first_inspector.ipynb", settings(parts, tmp_path), tmp_path)
    assert "image/png" in shown
    assert "text/html" in shown
    assert (tmp_path / "latest" / "scores" / "summary.json").is_file()


@pytest.mark.slow
def test_first_inspector_notebook_runs_unchanged(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    assert "image/png" in execute("first_inspector.ipynb", None, tmp_path / "notebooks")
