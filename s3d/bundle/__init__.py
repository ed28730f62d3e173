"""A carried disk: pending records in encrypted, signed files, and signed receipts for them. Knows no network."""
