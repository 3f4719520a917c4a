"""The command line: one thin file per verb in `verbs/`; everything it does is a call into the library."""
