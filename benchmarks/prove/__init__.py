"""The long proof: many switches of the sample, and many whole deploys and rollbacks of a small project, under load."""
