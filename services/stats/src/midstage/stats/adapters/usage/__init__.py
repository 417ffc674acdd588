"""Usage out of the ledger's file: statements, what they gave as a shard's part, and files of it."""
