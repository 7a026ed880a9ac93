"""One module a command, named like it; each has its ``command``."""
