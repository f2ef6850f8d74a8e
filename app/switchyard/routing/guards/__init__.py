"""Which statements and transactions are refused: by the text, by the access mode of the session, by the server."""
