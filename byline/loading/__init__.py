"""Load Task files and the modules beside them, and name failures of their code."""
