"""Person names and the keys by which they are found: what site and receiver compare alike."""

from gateway_link.names import folded, join, key

__all__ = ["folded", "join", "key"]
