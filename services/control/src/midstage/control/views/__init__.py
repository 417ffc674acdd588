"""Read models of the inventory: rows of the API, applications, places in the stream."""
