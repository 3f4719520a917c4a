"""Layers without opinions: what several papers share and no paper owns."""
