"""Whether the remote still has what it has confirmed: looked for again and again, on a budget."""
