"""What stats shows: read models, pure."""
