"""The proxy from the operator's side: rendering generations, and the session with the agent."""
