"""What throttle looks things up in: the limits that a request meets, and their meters."""
