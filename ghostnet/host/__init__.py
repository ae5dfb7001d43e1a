"""The machine and the process that a run is on: memory, threads, signals, streams, progress."""
