"""Embodia: the whole life of a robot policy in one library."""

__version__ = "0.1.0"
