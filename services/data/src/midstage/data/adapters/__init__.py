"""What data talks to outside the log: its store, files of records and downloads, keys."""
