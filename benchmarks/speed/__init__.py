"""Time and memory of builds, searches and HTTP."""
