"""Generated input at the edges of the product; see __main__.py."""
