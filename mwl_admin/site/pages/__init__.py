"""The site's own pages, beside those of Django's admin."""
