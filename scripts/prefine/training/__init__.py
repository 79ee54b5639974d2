"""The stacked training loop."""
