"""The commands, without a terminal: each observes, plans, executes, and answers a result object.

Thin on purpose: what to do is decided in `planning`, done in `execution`, said in `cli`.
"""
