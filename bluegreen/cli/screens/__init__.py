"""What a person sees: pure functions from results to lines."""
