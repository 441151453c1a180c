"""What a gradient is multiplied by, entry by entry, before it is projected: one module a scale."""
