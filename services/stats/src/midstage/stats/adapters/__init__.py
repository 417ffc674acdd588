"""What stats talks to outside the log: the ledger's file and the edges' keys."""
