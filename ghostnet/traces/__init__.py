"""Traces: recording what a simulator steps through, the files they are kept in, and reading them."""
