"""Changes of what a policy sees: controls and tests of robustness, as functions of a batch of observations.

Each function here returns a function `Observation -> Observation` for the `on_observation` hook of `rollout`. The one
thing to watch: they work on numpy batches (B T ...) and never change the arrays they are given.
"""
