"""What only the staff's site needs, in a browser: its pages, Django's admin, accounts, menu and appearance.

Nothing that worklist provider, web API, files or the receiver's notices need stands here; import-linter holds that.
"""
