"""One file for each benchmark: `build(config: EnvConfig) -> Env`; the file name is the family's name."""
