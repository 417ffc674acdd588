"""Records, parts and downloads as they are asked for and shown."""
