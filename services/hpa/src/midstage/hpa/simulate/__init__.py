"""Simulations of scaling: the settings under which policies are compared."""
