"""The crash matrix on real containers: ``make chaos``; a sample of it runs with the tests.

For every step of every kind of plan the program is killed, interrupted and told to stop, just before and just after
the step's effect, under constant traffic. What is left must be coherent, and every way on from it must end clean.
"""
