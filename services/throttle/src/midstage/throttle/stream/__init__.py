"""What goes on all the time: limits in, rooms out and back in, verdicts to whoever asks."""
