"""Training runs: from the first epoch to the last, into a directory, and on after a stop."""
