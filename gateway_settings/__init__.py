"""What every process needs to know of its settings and of the folder that it keeps things in. A leaf."""
