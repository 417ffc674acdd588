"""From what a cluster says to facts: pure."""
