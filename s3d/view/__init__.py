"""What is true now: tables folded from the journal, and remote facts kept apart from them."""
