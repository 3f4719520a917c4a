"""A policy at the other end of a network: served to others, or asked where it lives."""
