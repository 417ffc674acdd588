"""gateway's decisions: what counts as configuration, what a line means, how far to move; pure."""
