"""Entries from outside and back out: one way in for web API, files and commands, and what the receiver tells.

`entries` stores one entry by the models' rules in one transaction; `table` makes entries of a file's rows; `arrivals`
takes the receiver's notices; `alarms` finds what does not fit.
"""
