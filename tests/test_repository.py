"""Rules of the repository: locks, version, rooms, names, documents, and words no file may hold."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
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
    "README.md", "CONTRIBUTING.md", "docs/README.md", "docs/benchmark.md",
    "docs/inspector-format.md", "docs/results.md", "docs/row-contract.md", "docs/scale.md",
    "docs/training.md", "examples/README.md", "seeds/README.md",
]  # fmt: skip
LINE_MODULES = ["images", "decision", "inspector", "scoring", "benchmark", "commands.cli"]
TRAINING_PACKAGES = {
    "torch", "torchvision", "timm", "hydra", "omegaconf", "sklearn", "scipy", "matplotlib", "pandas"
}  # fmt: skip
MOST_LINES = 320
MOST_PARAMETERS = 6

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
"""Each lock and the dependency lists of pyproject.toml that it covers."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads(text_of("pyproject.toml"))


def requirements_of(name: str) -> list[Requirement]:
    listed = {
        "line": project()["project"]["dependencies"],
        **project()["project"]["optional-dependencies"],
        **project()["dependency-groups"],
    }[name]
    return [Requirement(line) for line in listed]


@cache
def entries_of(lock: str) -> tuple[str, ...]:
    """Return one entry per package, without comments and line breaks."""
    lines = text_of(f"requirements/{lock}.txt").splitlines()
    kept = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return tuple(kept.replace("\\\n", " ").splitlines())


@cache
def pins_of(lock: str) -> dict[str, str]:
    pins = [re.split(r"[= ]+", entry, maxsplit=2)[:2] for entry in entries_of(lock)]
    return {canonicalize_name(name): pin for name, pin in pins}


def code_of(document: str) -> list[str]:
    """Return all code in a Markdown text: inline spans, and lines of fenced blocks."""
    blocks = text_of(document).split("```")
    spans = [span for prose in blocks[::2] for span in re.findall(r"`([^`\n]+)`", prose)]
    return spans + [line.strip() for block in blocks[1::2] for line in block.splitlines()]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", text_of("Makefile"), flags=re.MULTILINE))


@cache
def tracked_files() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so the tracked files are unknown")
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def lines_matching(pattern: re.Pattern[str], *places: str) -> list[str]:
    """Return the lines of tracked files that match, with file and number."""
    return [
        f"{name}:{number}: {line.strip()[:80]}"
        for path in tracked_files()
        if (name := path.relative_to(ROOT).as_posix()).startswith(places or "")
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_every_entry_is_exact_and_hashed(lock: str) -> None:
    pattern = re.compile(r"[\w.-]+==[\w.]+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries_of(lock) if not pattern.fullmatch(entry)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_package_host(lock: str) -> None:
    text = text_of(f"requirements/{lock}.txt")
    assert re.findall(r"://|--\w*index\w*|--find-links|--trusted-host|\.\./| @ ", text) == []
    assert "make lock" in text.splitlines()[1]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_pyproject(lock: str) -> None:
    wanted = [one for name in LOCKS[lock] for one in requirements_of(name)]
    pins = pins_of(lock)
    unmet = [
        f"{one} is locked at {pins.get(canonicalize_name(one.name))}"
        for one in wanted
        if not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"))
    ]
    assert unmet == [], "run `make lock`"


@pytest.mark.parametrize("lock", ["build", "line", "train"])
def test_lock_agrees_with_the_dev_lock(lock: str) -> None:
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
    """Sort CONSTANTS, then Classes, then functions, as the linter does."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.name))
def test_room_lists_its_public_names_in_order(room: Path) -> None:
    names = public_names(room / "__init__.py")
    assert (names is not None) == ("import" in (room / "__init__.py").read_text(encoding="utf-8"))
    assert names is None or names == sorted(names, key=order_of)


def test_import_contract_places_every_module() -> None:
    layers = project()["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name.strip() for layer in layers for name in re.split(r"[|:]", layer)}
    modules = [*ROOMS, *(path for path in SOURCE.glob("*.py") if path.stem != "__init__")]
    assert sorted(path.stem for path in modules if f"sihwa.{path.stem}" not in placed) == []


def test_line_rooms_import_no_training_package() -> None:
    imports = ", ".join(f"sihwa.{module}" for module in LINE_MODULES)
    script = f"import sys, {imports}; print(*sorted({TRAINING_PACKAGES!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_source_file_stays_under_the_line_limit() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCE.rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_source_files_have_different_names() -> None:
    names = Counter(path.name for path in SOURCE.rglob("*.py"))
    assert {name for name, count in names.items() if count > 1} <= {"__init__.py", "config.py"}


def test_public_function_takes_at_most_six_parameters() -> None:
    found = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "commands"  # a command's parameters are its options
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if len([one for one in parameters(node) if one not in ("self", "cls")]) > MOST_PARAMETERS
    ]
    assert found == []


def parameters(function: ast.FunctionDef) -> list[str]:
    given = function.args
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_names_make_targets_that_exist(document: str) -> None:
    named = [span.split() for span in code_of(document) if span.startswith("make ")]
    assert {words[1] for words in named} <= make_targets() | {"TARGET"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_names_files_that_exist(document: str) -> None:
    folders = r"(?:src|configs|examples|tests|docs|scripts|requirements|notebooks|seeds)/[\w./-]*"
    named = [span for span in code_of(document) if re.fullmatch(folders, span)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_links_lead_to_files(document: str) -> None:
    linked = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(document))
    local = [name for name in linked if not re.match(r"[a-z]+:", name)]
    folder = (ROOT / document).parent
    assert [name for name in local if not (folder / name).exists()] == []


def test_ci_runs_make_test_alone() -> None:
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
    assert lines_matching(FOREIGN) == []


def test_no_file_says_image_in_another_word() -> None:
    places = ("src/", "tests/", "docs/", "configs/", "README.md")
    # square brackets keep the pattern from matching this line
    assert lines_matching(re.compile("[p]icture", re.IGNORECASE), *places) == []


def test_no_file_is_a_package_or_a_network() -> None:
    kinds = {".whl", ".zip", ".gz", ".so", ".pyd", ".exe", ".pt", ".pth", ".onnx", ".safetensors"}
    found = {str(path.relative_to(ROOT)) for path in tracked_files() if path.suffix in kinds}
    # the smallest network, with random weights
    assert found == {
        f"tests/golden/inspector_v2/{n}" for n in ("inspector.onnx", "weights.safetensors")
    }


def test_decisions_are_numbered_without_holes() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("0*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
