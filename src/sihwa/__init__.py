"""Sihwa: from a folder of part photographs to a qualified inspector on a cheap factory PC."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("sihwa")
