"""Assemblies of parts that many designs share: vision-language models, speaking, flow and two-rate policies."""
