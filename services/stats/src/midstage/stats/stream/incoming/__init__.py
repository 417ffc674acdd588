"""Events that come over HTTP: read strictly, sent, and only then acknowledged."""
