"""The Flight SQL protocol: messages, schemas and fixed answers; it knows no engine and no session."""
