"""Topics in, topics out: reading records, counting chunks, writing load."""
