"""Full experiment configurations as Python functions; the library never imports them, the command line does."""
