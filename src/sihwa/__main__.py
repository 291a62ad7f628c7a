"""`sihwa`, which is `python -m sihwa`: it minds Ctrl-C, then loads the rest."""

from sihwa.terminal.console import loading

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    with loading():
        from sihwa.commands.cli import main
    main()


if __name__ == "__main__":
    main()
