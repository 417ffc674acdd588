"""What goes on all the time: limits and ended requests in, verdicts to whoever asks."""
