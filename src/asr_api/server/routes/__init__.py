"""One file for each thing that the server offers; each makes a router from what it needs."""
