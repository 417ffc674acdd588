"""Usage as it is asked for, planned, added up over shards, and answered; all of it pure."""
