"""Sihwa: from a folder of part images to a tested inspector on a cheap factory PC."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: the metadata takes longer to read than a card."""
    if name == "__version__":
        from importlib.metadata import version

        return version("sihwa")
    raise AttributeError(f"module 'sihwa' has no attribute {name!r}")
