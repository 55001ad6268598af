"""One module a place to run: start, poll, stop."""
