"""The Docker engine: a protocol, the real one through the SDK, and an in-memory one for tests."""
