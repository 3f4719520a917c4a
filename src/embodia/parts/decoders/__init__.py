"""Decoders: what the backbone understood becomes a chunk of actions."""
