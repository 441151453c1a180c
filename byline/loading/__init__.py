"""Task files: loading, the modules beside them, and failures of their code."""
