"""The simulators of the tasks: made, seeded, stepped, put into a state."""
