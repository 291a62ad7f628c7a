"""Make an inspector from photographs: python train.py [setting=value ...], --help shows them."""

import sys

try:
    from sihwa.terminal.console import loading

    with loading():
        from sihwa.commands.cli import train
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error.name} is not installed; run `make train`, or install this folder first: "
        "pip install --editable '.[train,elpv]'"
    ) from None

if __name__ == "__main__":
    train(sys.argv[1:])
