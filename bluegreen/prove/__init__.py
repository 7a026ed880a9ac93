"""Proof that a switch loses nothing: strict clients in a process of their own, and what they saw, checked and summed.

Imported by `prove` and by `deploy --prove` only.
"""
