"""Red team: probes that a policy must pass before its success rate is believed, and attacks that say what it bears.

`audit(policy, vector, config)` plays a fixed budget of episodes and gives one verdict a question: does it listen, does
it look, does it react, does it go by pictures and not by the simulator's state, does a trigger turn it.
"""
