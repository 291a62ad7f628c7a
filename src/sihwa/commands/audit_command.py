"""The command `sihwa audit`; `scripts/audit.py` is the same."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sihwa.errors import ConfigError, StorageError
from sihwa.terminal.console import a_path, note, say
from sihwa.terminal.guard import begin_work
from sihwa.terminal.names import counted

if TYPE_CHECKING:
    from sihwa.audit import ManifestDiff

_SHOWN = 20


def audit(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="A folder or .zip with a folder per class, a table (.csv, .parquet), a run "
            "folder, or settings as of a training: dataset=neu_det dataset.root=PATH.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=a_path,
            metavar="<path>",
            help="Folder for the results.  \\[default: outputs/audits/<time>]",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 1 if something severe is found.")
    ] = False,
    write_manifest: Annotated[
        Path | None,
        typer.Option(
            "--write-manifest",
            parser=a_path,
            metavar="<path>",
            help="Write a new .csv with suggested exclusions and labels in extra columns.",
        ),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare two sources by content instead.")
    ] = False,
) -> None:
    """Look for what would make the figures of a data set lie; nothing is changed.

    Identical images with two labels or in two splits, suspected wrong
    labels, sizes, cameras or folders that give the class away, classes too
    small for what is to be proven, odd images, splits that differ. One line
    per finding, worst first; the images side by side in audit.html, and
    everything in audit.parquet. See docs/audit.md.

    [bold]Examples[/]

    sihwa audit parts/

    sihwa audit parts.csv --strict --write-manifest clean.csv

    sihwa audit dataset=neu_det dataset.root=NEU-DET.zip

    sihwa audit parts/ dataset.group=folder:2

    sihwa audit outputs/latest

    sihwa audit --diff outputs/2026-01-31/14-05-09 parts.csv
    """
    # here, because other commands would start seconds later
    from sihwa.run.audit_source import audit_words, compare_sources

    if diff:
        if len(source) != 2 or strict or out or write_manifest:
            raise ConfigError("--diff takes two sources and no other option")
        begin_work()
        _show_diff(compare_sources(source[0], source[1]))
        return
    if write_manifest and write_manifest.suffix.lower() != ".csv":
        raise ConfigError(f"--write-manifest must name a .csv file, got {write_manifest}")
    from sihwa.audit import write_audit, write_clean_manifest
    from sihwa.audit.audit_files import PAGE, TABLE

    folder = out or Path("outputs", "audits", datetime.now().strftime("%Y-%m-%d_%H%M%S"))
    for path in (folder / PAGE, folder / TABLE, *([write_manifest] if write_manifest else [])):
        if os.path.lexists(path):
            raise StorageError(f"{path} exists; name another place with --out or --write-manifest")
    begin_work()
    audited = audit_words(source)
    manifest, findings = audited.manifest, audited.findings
    for line in manifest.notes:
        note(f"note: {line}")
    write_audit(folder, findings, f"Audit of {manifest.name}", manifest.decoding)
    for one in findings:
        say(one.line)
    if not findings:
        say(f"nothing was found in {counted(manifest.table.num_rows, 'image')}")
    if write_manifest:
        marked = write_clean_manifest(write_manifest, manifest, findings)
        has = "has" if marked == 1 else "have"
        say(
            f"{counted(marked, 'image')} {has} a suggestion in {write_manifest}; decide, then "
            "dataset=manifest"
        )
        if dropped := manifest.dropped:
            say(f"not in it, because unreadable: {counted(len(dropped), 'image')}")
            _say_some([str(one) for one in dropped])
    say(f"-> {folder / PAGE}")
    if strict and any(one.severity == "severe" for one in findings):
        raise SystemExit(1)


def _show_diff(found: "ManifestDiff") -> None:
    lists = {
        "came": list(found.came),
        "went": list(found.went),
        "changed label": [f"{one.path}: {one.before} -> {one.after}" for one in found.label],
        "changed split": [f"{one.path}: {one.before} -> {one.after}" for one in found.split],
    }
    for name, lines in lists.items():
        say(f"{name}: {counted(len(lines), 'image')}")
        _say_some(lines)
    if not found:
        say("no difference in content, labels and splits")


def _say_some(lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        say(f"  {line}")
    if len(lines) > _SHOWN:
        say(f"  and {len(lines) - _SHOWN} more")
