"""Changes of what a policy sees: controls and tests of robustness, as functions of a batch of observations.

Each function here returns a function `Observation -> Observation` that is put before a policy (`Seeing` in
`evaluation.controls`). The one thing to watch: they work on numpy batches (B T ...) and never change their input.
"""
