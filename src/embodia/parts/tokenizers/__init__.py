"""Tokenizers: text and actions as integers, and back."""
