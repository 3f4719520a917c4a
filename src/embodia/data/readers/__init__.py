"""Data sets of other programs: what they do not say themselves."""
