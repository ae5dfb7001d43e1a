"""What a network is, apart from how it is computed."""
