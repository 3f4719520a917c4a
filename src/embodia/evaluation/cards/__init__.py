"""Cards: one page of numbers about a policy that success alone does not tell (speed, several routes, levels)."""
