"""How the site is served to clients that may be slow, silent, greedy or many (docs/adr/0008)."""
