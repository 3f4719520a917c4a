"""Demonstrations on disk: recording, reading, order, mixtures, validation."""
