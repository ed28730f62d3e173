"""Journal to remote, in order. DESIGN.md beside this file argues why it is right."""
