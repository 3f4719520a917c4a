"""Moments to come that are not a number of steps away: what a sample may ask for besides "so many steps ahead".

They stand where a number of steps stands (`Batch.ahead`), so they are negative numbers.
"""

NEXT_KEY = -1
"""The next key frame: where the gripper changes, the hand rests or turns off a straight line, or the end."""

AFTER_KEY = -2
"""The moment at which the hand leaves that key frame: the gripper has done by then what it was told."""
