"""Received images as the site knows them: what the receiver tells, what it is told, and what does not fit."""
