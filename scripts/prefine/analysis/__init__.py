"""From tables to numbers: needs neither torch nor a simulator."""
