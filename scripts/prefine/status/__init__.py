"""How far a run is: what it will do, written when it begins, and what its files say since."""
