"""One file per verb: docstring = summary and help, `EXAMPLES` teach, `Options` are its flags, `run` acts."""
