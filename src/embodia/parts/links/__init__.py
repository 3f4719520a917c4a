"""Links: how a slower level of thought speaks to a faster one; the message is plain arrays and text."""
