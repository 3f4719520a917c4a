"""Heads beside the action: what else the same context should know, learned from what came later."""
