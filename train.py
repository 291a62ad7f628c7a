"""Make an inspector from images: python train.py [setting=value ...], --help shows them."""

import sys

try:
    from sihwa.terminal.guard import guarding
except ModuleNotFoundError:
    raise SystemExit("error: Sihwa is not installed; run `make train`") from None

if __name__ == "__main__":
    with guarding():
        from sihwa.commands.cli import train

        train(sys.argv[1:])
