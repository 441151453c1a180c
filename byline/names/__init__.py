"""Names of persons and owners: one spelling for each, and those that look alike."""
