"""Build an index: from a build file or a Task to a published folder."""
