"""Requests from the operator's side, as people would send them."""
