"""Every figure that the documentation states, as a command that anyone can repeat."""
