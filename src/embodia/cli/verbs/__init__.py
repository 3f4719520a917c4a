"""One file per verb: the first docstring line is its summary, `EXAMPLES` teaches, `Options` are its flags, `run` acts."""
