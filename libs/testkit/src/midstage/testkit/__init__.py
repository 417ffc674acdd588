"""Given/when/then, frozen clock, waiting, failpoints that kill: for midstage's tests only."""
