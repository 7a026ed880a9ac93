"""One suite for each protocol, run on its fake and on the real thing."""
