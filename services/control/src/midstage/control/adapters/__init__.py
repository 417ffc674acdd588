"""What control asks besides the clusters themselves."""
