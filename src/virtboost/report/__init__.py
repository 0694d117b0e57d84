"""Model values as text for people: terminal, HTML."""
