"""What goes on all the time: limits and ended requests in, rooms out, verdicts to whoever asks."""
