"""Backbones: groups of tokens look at one another."""
