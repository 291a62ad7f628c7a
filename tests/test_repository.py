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
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LAYERS: list[str] = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "seeds/*.md")
    for path in ROOT.glob(pattern)
)
LINE_MODULES = ["images", "decision", "inspector", "scoring", "benchmark", "commands.cli"]
TRAINING_PACKAGES = {
    "torch", "torchvision", "timm", "hydra", "omegaconf", "sklearn", "scipy", "matplotlib", "pandas"
}  # fmt: skip
MOST_LINES = 320
MOST_PARAMETERS = 6

# Square brackets keep these patterns from matching this file.
FOREIGN = r"(?<![\w.])/[w]ork/|/[t]mp/lab|/[o]pt/(?:pypi|wheels)|[p]ypi\.org|[p]ythonhosted"
WORDS = r"(?i)[p]icture"  # we say image
LOCKS = {
    "build": ("build",),
    "line": ("line",),
    "train": ("build", "line", "train", "elpv"),
    "dev": ("build", "line", "train", "elpv", "ray", "dev"),
}
"""Each lock and the dependency lists of pyproject.toml that it covers."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def requirements_of(name: str) -> list[Requirement]:
    listed = {
        "line": PROJECT["project"]["dependencies"],
        **PROJECT["project"]["optional-dependencies"],
        **PROJECT["dependency-groups"],
    }
    return [Requirement(line) for line in listed[name]]


def entries_of(lock: str) -> list[str]:
    """Return one entry per package, without comments and line breaks."""
    lines = text_of(f"requirements/{lock}.txt").splitlines()
    kept = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return kept.replace("\\\n", " ").splitlines()


@cache
def pins_of(lock: str) -> dict[str, str]:
    pins = [re.split(r"[= ]+", entry, maxsplit=2)[:2] for entry in entries_of(lock)]
    return {canonicalize_name(name): pin for name, pin in pins}


@cache
def tracked_files() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so the tracked files are unknown")
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_entries_are_exact_and_hashed_and_name_no_host(lock: str) -> None:
    pattern = re.compile(r"[\w.-]+==[\w.]+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries_of(lock) if not pattern.fullmatch(entry)] == []
    text = text_of(f"requirements/{lock}.txt")
    assert re.findall(r"://|--\w*index\w*|--find-links|--trusted-host|\.\./| @ ", text) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_pyproject_and_the_dev_lock(lock: str) -> None:
    pins = pins_of(lock)
    unmet = [
        f"{one} is locked at {pins.get(canonicalize_name(one.name))}"
        for name in LOCKS[lock]
        for one in requirements_of(name)
        if not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"))
    ]
    assert unmet == [], "run `make lock`"
    assert pins.items() <= pins_of("dev").items(), "run `make lock`"


def test_version_equals_the_top_entry_of_the_changelog() -> None:
    entries = re.findall(r"^## (\S+)", text_of("CHANGELOG.md"), flags=re.MULTILINE)
    assert version("sihwa") == entries[0]


def test_room_that_imports_lists_its_public_names() -> None:
    texts = {room.name: (room / "__init__.py").read_text(encoding="utf-8") for room in ROOMS}
    assert [n for n, text in texts.items() if ("import " in text) != ("__all__ = [" in text)] == []


def test_import_contract_places_every_module() -> None:
    placed = {name.strip() for layer in LAYERS for name in re.split(r"[|:]", layer)}
    modules = [*ROOMS, *(path for path in SOURCE.glob("*.py") if path.stem != "__init__")]
    assert sorted(path.stem for path in modules if f"sihwa.{path.stem}" not in placed) == []


def test_line_rooms_import_no_training_package() -> None:
    imports = ", ".join(f"sihwa.{module}" for module in LINE_MODULES)
    script = f"import sys, {imports}; print(*sorted({TRAINING_PACKAGES!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_source_files_are_short_and_have_different_names() -> None:
    paths = list(SOURCE.rglob("*.py"))
    lengths = {str(path): len(path.read_text("utf-8").splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}
    names = Counter(path.name for path in paths)
    assert {name for name, count in names.items() if count > 1} <= {"__init__.py", "config.py"}


def test_public_function_takes_at_most_six_parameters() -> None:
    found = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "commands"  # a command's parameters are its options
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if len(parameters(node) - {"self", "cls"}) > MOST_PARAMETERS
    ]
    assert found == []


def parameters(function: ast.FunctionDef) -> set[str]:
    given = function.args
    return {one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def code_of(document: str) -> list[str]:
    """Return all code in a Markdown text: inline spans, and lines of fenced blocks."""
    blocks = text_of(document).split("```")
    spans = [span for prose in blocks[::2] for span in re.findall(r"`([^`\n]+)`", prose)]
    return spans + [line.strip() for block in blocks[1::2] for line in block.splitlines()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_names_only_what_exists(document: str) -> None:
    code = code_of(document)
    targets = re.findall(r"^([a-z-]+):.*## ", text_of("Makefile"), flags=re.MULTILINE)
    named = {span.split()[1] for span in code if span.startswith("make ")}
    assert named <= {*targets, "TARGET"}

    folders = r"(?:src|configs|examples|tests|docs|scripts|requirements|notebooks|seeds)/[\w./-]*"
    spans = [re.fullmatch(rf"({folders}|[\w/]+\.py)(?:: ([\w.]+))?", span) for span in code]
    assert [span[0] for span in spans if span and not is_there(span[1], span[2] or "")] == []

    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text_of(document))
    folder = (ROOT / document).parent
    assert [name for name in links if not (folder / name).exists()] == []


def is_there(file: str, name: str) -> bool:
    """Tell whether a file exists and defines `name`, a function, a constant or Class.method."""
    paths = [ROOT / file, SOURCE / file] if "/" in file else list(ROOT.glob(f"[st]*/**/{file}"))
    texts = [path.read_text("utf-8") for path in paths if name and path.exists()]
    return any(path.exists() for path in paths) and all(
        any(re.search(rf"(?m)^\s*(?:def|class) {part}\b|^{part}\b", text) for text in texts)
        for part in filter(None, name.split("."))
    )


def test_readme_and_contributing_list_the_rooms_in_order() -> None:
    rooms = [layer.removeprefix("sihwa.") for layer in reversed(LAYERS)]
    rooms = [room for room in rooms if (SOURCE / room).is_dir()]
    arrows = next(line for line in text_of("README.md").splitlines() if "` → `" in line)
    assert re.findall(r"`(\w+)`", arrows) == rooms
    assert re.findall(r"[├└]── (\w+)/", text_of("CONTRIBUTING.md")) == rooms


def test_documents_are_listed_and_decisions_numbered_without_holes() -> None:
    pages = sorted(path.name for path in (ROOT / "docs").glob("[a-z]*.md"))
    assert sorted(re.findall(r"\(([\w-]+\.md)\)", text_of("docs/README.md"))) == pages
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert [int(page[:4]) for page in decisions] == list(range(1, len(decisions) + 1))
    assert re.findall(r"\((\d{4}-.*)\)", text_of("docs/decisions/README.md")) == decisions


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


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        pytest.param(FOREIGN, "", id="a machine or a registry"),
        pytest.param(WORDS, ("src/", "tests/", "docs/", "configs/", "README.md"), id="other word"),
    ],
)
def test_no_file_holds_a_forbidden_word(pattern: str, places: str | tuple[str, ...]) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for path in tracked_files()
        if (name := path.relative_to(ROOT).as_posix()).startswith(places)
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == []


def test_no_file_is_a_package_or_a_network() -> None:
    kinds = {".whl", ".zip", ".gz", ".so", ".pyd", ".exe", ".pt", ".pth", ".onnx", ".safetensors"}
    found = {str(path.relative_to(ROOT)) for path in tracked_files() if path.suffix in kinds}
    # the smallest network, with random weights
    assert found == {
        f"tests/golden/inspector_v3/{n}" for n in ("inspector.onnx", "weights.safetensors")
    }
