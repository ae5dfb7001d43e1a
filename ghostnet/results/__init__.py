"""What runs and traces say: tables and pictures."""
