"""Changes made to batches on their way to the network."""
