"""Prove an inspector on this machine: python scripts/verify.py INSPECTOR [FOLDER]."""

try:
    from sihwa.console import errors_as_lines, loading

    with loading():
        import typer

        from sihwa.verify_command import verify
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error.name} is not installed; install this folder first: pip install --editable ."
    ) from None

if __name__ == "__main__":
    with errors_as_lines():
        typer.run(verify)
