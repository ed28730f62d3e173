"""Drop folders: files that devices write become objects, through the same one way in as every request."""
