"""Entries of the worklist from outside and back out: one way in for web API, files and commands.

`entries` stores one entry by the models' rules in one transaction; `tables` makes entries of a file's rows;
`corrections` merges patients and moves their orders.
"""
