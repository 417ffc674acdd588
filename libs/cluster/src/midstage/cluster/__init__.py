"""A cluster behind one Protocol: objects, fit, and the clients that implement it."""
