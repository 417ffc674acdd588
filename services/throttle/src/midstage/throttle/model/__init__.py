"""What throttle knows: limits, the questions about them, and what they are made of."""
