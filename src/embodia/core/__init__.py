"""Vocabulary of the house: numpy and the standard library only, imported by everything, importing nothing."""
