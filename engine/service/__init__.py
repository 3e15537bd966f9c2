"""The door between engine and screen: protocol, worker process, client, runs on disk."""
