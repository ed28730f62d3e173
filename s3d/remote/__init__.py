"""The upstream store, behind one seam."""
