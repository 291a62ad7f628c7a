"""`python -m sihwa` is `sihwa`."""

from sihwa.cli import main

main()
