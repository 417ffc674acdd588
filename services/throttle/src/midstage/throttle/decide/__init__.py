"""What throttle decides: the engine of limits, pure; time and ids are arguments."""
