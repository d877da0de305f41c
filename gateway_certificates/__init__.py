"""The department's certificates: its authority, those of servers and devices, and the first one of the site. A leaf."""
