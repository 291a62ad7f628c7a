"""The repository itself: locks, version, rooms, commands, and what no file may hold."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sihwa"
ROOMS = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))
DOCUMENTS = [
    "README.md", "CONTRIBUTING.md", "docs/benchmark.md", "docs/inspector-format.md",
    "examples/README.md", "seeds/README.md",
]  # fmt: skip
LINE_MODULES = ["images", "decision", "inspector", "scoring", "benchmark", "cli"]
TRAINING_PACKAGES = {
    "torch", "torchvision", "timm", "hydra", "omegaconf", "sklearn", "scipy", "matplotlib", "pandas"
}  # fmt: skip
MOST_LINES = 320

# Square brackets keep these patterns from matching this file.
FOREIGN = re.compile(
    r"(?<![\w.])/[w]ork/|/[t]mp/lab|/[o]pt/(?:pypi|wheels)|[p]ypi\.org|[p]ythonhosted"
)
LOCKS = {
    "build": ("build",),
    "line": ("line",),
    "train": ("build", "line", "train", "elpv"),
    "dev": ("build", "line", "train", "elpv", "ray", "dev"),
}
"""Each lock and the parts of pyproject.toml that it covers."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads(text_of("pyproject.toml"))


def requirements_of(part: str) -> list[Requirement]:
    listed = {
        "line": project()["project"]["dependencies"],
        **project()["project"]["optional-dependencies"],
        **project()["dependency-groups"],
    }[part]
    return [Requirement(line) for line in listed]


@cache
def entries_of(lock: str) -> tuple[str, ...]:
    """One entry per package: comments gone, continued lines joined."""
    lines = text_of(f"requirements/{lock}.txt").splitlines()
    kept = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return tuple(kept.replace("\\\n", " ").splitlines())


@cache
def pins_of(lock: str) -> dict[str, str]:
    pins = [re.split(r"[= ]+", entry, maxsplit=2)[:2] for entry in entries_of(lock)]
    return {canonicalize_name(name): pin for name, pin in pins}


def code_of(document: str) -> list[str]:
    """Every piece of code in a Markdown text: inline spans, and lines of fenced blocks."""
    pieces = text_of(document).split("```")
    spans = [span for prose in pieces[::2] for span in re.findall(r"`([^`\n]+)`", prose)]
    return spans + [line.strip() for block in pieces[1::2] for line in block.splitlines()]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", text_of("Makefile"), flags=re.MULTILINE))


def files_of_the_project() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: which files belong to the project is not known")
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_every_entry_is_exact_and_hashed(lock: str) -> None:
    pattern = re.compile(r"[\w.-]+==[\w.]+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries_of(lock) if not pattern.fullmatch(entry)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_place(lock: str) -> None:
    text = text_of(f"requirements/{lock}.txt")
    assert re.findall(r"://|--\w*index\w*|--find-links|--trusted-host|\.\./| @ ", text) == []
    assert "make lock" in text.splitlines()[1]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_pyproject(lock: str) -> None:
    wanted = [one for part in LOCKS[lock] for one in requirements_of(part)]
    pins = pins_of(lock)
    unmet = [
        f"{one} is locked at {pins.get(canonicalize_name(one.name))}"
        for one in wanted
        if not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"))
    ]
    assert unmet == [], "run `make lock`"


@pytest.mark.parametrize("lock", ["build", "line", "train"])
def test_lock_is_part_of_the_dev_lock(lock: str) -> None:
    assert pins_of(lock).items() <= pins_of("dev").items(), "run `make lock`"


def test_version_equals_the_top_entry_of_the_changelog() -> None:
    entries = re.findall(r"^## (\S+)", text_of("CHANGELOG.md"), flags=re.MULTILINE)
    assert version("sihwa") == entries[0]


def public_names(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def order_of(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions: the order that the linter writes."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.name))
def test_room_lists_its_public_names_in_order(room: Path) -> None:
    names = public_names(room / "__init__.py")
    assert names, f"{room.name}/__init__.py has no __all__"
    assert names == sorted(names, key=order_of)


def test_every_module_has_a_place_in_the_import_rule() -> None:
    layers = project()["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name.strip() for layer in layers for name in re.split(r"[|:]", layer)}
    modules = [*ROOMS, *(path for path in SOURCE.glob("*.py") if path.stem != "__init__")]
    assert sorted(path.stem for path in modules if f"sihwa.{path.stem}" not in placed) == []


def test_line_rooms_import_nothing_that_trains() -> None:
    imports = ", ".join(f"sihwa.{module}" for module in LINE_MODULES)
    script = f"import sys, {imports}; print(*sorted({TRAINING_PACKAGES!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_source_files_are_short() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCE.rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_names_make_targets_that_exist(document: str) -> None:
    named = [piece.split() for piece in code_of(document) if piece.startswith("make ")]
    assert {words[1] for words in named} <= make_targets() | {"TARGET"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_names_places_that_exist(document: str) -> None:
    folders = r"(?:src|configs|examples|tests|docs|scripts|requirements|notebooks|seeds)/[\w./-]*"
    named = [piece for piece in code_of(document) if re.fullmatch(folders, piece)]
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_ci_runs_make_test_and_nothing_of_its_own() -> None:
    lines = text_of(".ci/run").splitlines()
    commands = [line for line in lines if not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make test"]
    assert os.name == "nt" or os.access(ROOT / ".ci" / "run", os.X_OK)


def test_notebooks_carry_no_outputs() -> None:
    full = [
        f"{path.name}, cell {index}"
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        for index, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"])
        if cell.get("outputs") or cell.get("execution_count") is not None
    ]
    assert full == [], "clear all outputs and save"


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files_of_the_project()
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert found == []


def test_no_file_is_a_foreign_package_or_network() -> None:
    kinds = {".whl", ".zip", ".gz", ".so", ".pyd", ".exe", ".pt", ".pth", ".onnx", ".safetensors"}
    found = {str(path.relative_to(ROOT)) for path in files_of_the_project() if path.suffix in kinds}
    # our own smallest network, from random weights
    assert found == {
        f"tests/golden/inspector_v1/{n}" for n in ("inspector.onnx", "weights.safetensors")
    }
