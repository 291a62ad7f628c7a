"""Prove an inspector on this machine: python scripts/verify.py INSPECTOR [FOLDER]."""

try:
    from sihwa.terminal.guard import guarding
except ModuleNotFoundError:
    raise SystemExit("error: Sihwa is not installed; run `pip install --editable .`") from None

if __name__ == "__main__":
    with guarding():
        from sihwa.commands.cli import run_alone, verify

        run_alone(verify)
