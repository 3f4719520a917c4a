"""How well a policy does, how sure that is, and which honest controls say what it is that works."""
