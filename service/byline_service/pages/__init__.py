"""Pages for people, made on the server: what the API answers, as text, pictures and tables."""
