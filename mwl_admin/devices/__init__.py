"""Devices that may call: the registry for the receiver, callers that staff have to look at, and C-ECHO to a station."""
