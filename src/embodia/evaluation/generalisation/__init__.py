"""Generalisation: what a success rate becomes when one thing changes, by published protocols and with corrected tests.

axes        Star-Gen's 22 axes on Desk and the five scores object, environment, task, action, body
fuzz        VLATest's operators: scenes drawn at random from what may vary
intention   INT-ACT: does it go for the right thing, even where it fails
levels      AGNOSTOS: unseen tasks near to and far from the trained ones
objects     FMB: seen and unseen shapes, sizes and places
retarget    a policy on a body that it was not made for, translated part by part
battery     all of these played by one subject
shifts      the table that all of them fill: plain and shifted episodes, paired where they can be
"""
