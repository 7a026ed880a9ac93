"""Real containers, driven through the real command line; each test's name is a sentence about conduct."""
