"""Make an inspector from photographs: python train.py [setting=value ...], --help shows them."""

import sys

from sihwa.workshop.launch import launch

if __name__ == "__main__":
    launch(sys.argv[1:])
