"""Deciding, without I/O or clock: what is there and what is wanted in, ordered steps with their causes out."""
