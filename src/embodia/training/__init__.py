"""Training: one loop for every policy, exact resumes, checkpoints that appear whole or not at all."""
