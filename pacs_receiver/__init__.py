"""Receives and keeps images: C-STORE, C-ECHO, Storage Commitment, with an index database of its own."""
