"""Making data: scripted experts, and collection of their demonstrations in parallel."""
