"""Given/when/then, frozen clock, failpoints, broker fixtures: for midstage's tests only."""
