"""Encoders: an observation becomes one named group of tokens."""
