"""The link between site and receiver: how each signs what it sends to the other. A leaf: no Django, no database."""
