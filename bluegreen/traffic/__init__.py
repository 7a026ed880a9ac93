"""From the access log to samples: pure, so that a past log can be judged again."""
