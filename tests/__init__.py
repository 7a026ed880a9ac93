"""Tests: ``unit`` (pure), ``contract`` (fake and real adapters, one suite), ``scenarios`` (real containers)."""
