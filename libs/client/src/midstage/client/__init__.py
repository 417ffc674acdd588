"""The midstage command line and SDK."""
