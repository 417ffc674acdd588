"""Deploy's loops: facts in, writes to the cluster out."""
