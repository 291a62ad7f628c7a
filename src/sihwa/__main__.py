"""`sihwa`, which is `python -m sihwa`: it guards the command, then loads the rest."""

from sihwa.terminal.guard import guarding

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    with guarding():
        from sihwa.commands.cli import run

        run()


if __name__ == "__main__":
    main()
