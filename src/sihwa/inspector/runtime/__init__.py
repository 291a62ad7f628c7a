"""Runtimes: what executes an inspector, behind one small interface."""
