"""What the daemon says about itself: log lines, metrics, and the answers of the admin listener."""
