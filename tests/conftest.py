"""Property tests have no deadline: a busy machine is not a broken program."""

from hypothesis import settings

settings.register_profile("embodia", deadline=None)
settings.load_profile("embodia")
