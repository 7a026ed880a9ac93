"""Images from sources: what a tag is built from, its clean export, content digests, and the builds themselves."""
