"""Play policies and measure what they do."""
