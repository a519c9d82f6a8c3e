"""Floor 3: the engine in a process of its own: supervisor, child process, worker and the messages between them."""
