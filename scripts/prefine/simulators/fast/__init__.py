"""Simulators without the work that changes nothing: the same bits, 4 to 17 times as fast."""
