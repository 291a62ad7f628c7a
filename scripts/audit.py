"""Look for faults of a data set: python scripts/audit.py SOURCE --strict."""

try:
    from sihwa.terminal.guard import guarding
except ModuleNotFoundError:
    raise SystemExit("error: Sihwa is not installed; run `pip install --editable .`") from None

if __name__ == "__main__":
    with guarding():
        from sihwa.commands.cli import audit, run_alone

        run_alone(audit)
