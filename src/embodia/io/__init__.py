"""Bytes and disk: the only place that parses foreign bytes and the only place that writes files."""
