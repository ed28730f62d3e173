"""The site's word on its own journal: checkpoints that are signed, and laid where the site cannot change them."""
