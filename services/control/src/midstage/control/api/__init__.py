"""Control over HTTP: the inventory, the stream of changes, what a pod writes."""
