"""For the time when Gateway can't be reached: the list on paper or in a file, and what was done meanwhile."""
