"""Qualification: what is done with a finished inspector to see that it still holds."""
