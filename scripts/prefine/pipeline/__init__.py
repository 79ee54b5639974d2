"""What only the workflow needs."""
