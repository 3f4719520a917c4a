"""AutoEval: a policy judged around the clock without a person: a learned judge, an automatic reset, a journal.

Source: AutoEval: Autonomous Evaluation of Generalist Robot Manipulation Policies in the Real World, 2025,
arXiv 2503.24278.
"""
