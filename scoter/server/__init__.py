"""Bytes in, bytes out: Flight SQL, sessions, tickets, authentication."""
