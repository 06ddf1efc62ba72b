"""The staff page: what the exhibit does, how it is used, and its photographs, behind a token."""
