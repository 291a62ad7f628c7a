"""The command `sihwa fetch`: public data sets by name."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sihwa.errors import ConfigError, DownloadError, StorageError
from sihwa.terminal.console import a_path, note, say
from sihwa.terminal.guard import begin_work
from sihwa.terminal.names import counted

if TYPE_CHECKING:
    from sihwa.dataset.public_set import PublicSet


def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Public set, as in dataset=NAME. Without it, the sets are listed.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=a_path,
            metavar="FOLDER",
            help="New or empty folder for the files.  \\[default: NAME]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the terms of a public data set, then download and unpack it.

    A download that was interrupted resumes where it stopped. Size and
    SHA-256 are checked if they are known, and names and sizes in the archive
    before anything is unpacked. A set without a stable public address is not
    downloaded: its page and its layout are shown instead, with exit code 1.

    [bold]Examples[/]

    sihwa fetch

    sihwa fetch kolektor_sdd2

    sihwa fetch magnetic_tile --out data/tiles
    """
    from sihwa.dataset.public_sets import PUBLIC_SETS  # needs SciPy, which the line PC lacks

    if name is None:
        list_sets(list(PUBLIC_SETS.values()))
        return
    if name not in PUBLIC_SETS:
        near = difflib.get_close_matches(name, PUBLIC_SETS, n=1)
        hint = f"; nearest: {near[0]}" if near else ""
        raise ConfigError(f"expected one of {', '.join(PUBLIC_SETS)}; got {name!r}{hint}")
    fetch_set(PUBLIC_SETS[name], out or Path(name))


def list_sets(sets: "list[PublicSet]") -> None:
    """Print name, size, terms and address of each set."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("name", "images", "licence", "fetched by", "address"):
        table.add_column(column, justify="right" if column == "images" else "left", no_wrap=True)
    for public in sets:
        by = "sihwa fetch" if public.archive else "you"
        table.add_row(public.name, f"{public.images:,}", public.licence, by, public.page)
    Console(width=200).print(table)


def fetch_set(public: "PublicSet", out: Path) -> None:
    """Download a set and unpack it into a new folder.

    Raises:
        DownloadError: The set has no stable address, or the file cannot be had.
        StorageError: The folder is not empty, or the disk is full.
    """
    from sihwa.dataset.recognise import recognise_set
    from sihwa.images import find_images
    from sihwa.storage import sha256_of_file
    from sihwa.storage.download import download
    from sihwa.storage.unpack import unpack_zip

    _say_terms(public)
    if public.archive is None:
        raise DownloadError(
            f"{public.name} has no stable public address: {public.by_hand}; then train with "
            f"dataset={public.name}{'' if public.name == 'elpv' else ' dataset.root=FOLDER'}"
        )
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StorageError(f"--out {out}: expected a new or an empty folder")
    begin_work()
    archive = out.absolute().with_name(f".{out.absolute().name}.zip")
    say(f"from {public.archive.address}")
    # an archive that is there is whole: the disk had no room to unpack it
    sha256 = sha256_of_file(archive) if archive.exists() else None
    if sha256 is None or public.archive.sha256 not in (None, sha256):
        sha256 = download(public.archive, archive)
    known = "as expected" if public.archive.sha256 else "nothing is known to compare it with"
    say(f"SHA-256 {sha256}: {known}")
    try:
        count = unpack_zip(archive, out)
    except DownloadError:
        archive.unlink()
        raise
    archive.unlink()
    found = recognise_set(out, find_images(out))
    if found is None or found.name != public.name:
        note(f"{out} is not laid out as documented; look at it before training")
    say(f"{counted(count, 'file')} -> {out}")
    say(f"python train.py dataset={public.name} dataset.root={out}")


def _say_terms(public: "PublicSet") -> None:
    say(f"{public.title}: {public.images:,} images")
    say(f"licence: {public.licence}")
    say(f"cite: {public.citation}")
    say(f"page: {public.page}")
    say(f"layout: {', '.join(public.layout)}")
    say(f"groups: {public.groups or 'the set does not say which images show the same part'}")
