"""Topics in, evaluations and decisions out; and the replay that makes them again."""
