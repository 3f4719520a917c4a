"""Where what was read from several sources becomes one."""
