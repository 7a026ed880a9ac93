"""How long commands take, against floors that are measured in the same run."""
