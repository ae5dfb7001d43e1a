"""Files: published whole, opened strictly, whatever they hold."""
