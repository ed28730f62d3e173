"""A site is killed, its disk flips bits, and the pages of the documentation are followed word for word elsewhere."""
