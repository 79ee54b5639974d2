"""What is asked for: the checked config and what follows. Imports neither numpy nor torch."""
