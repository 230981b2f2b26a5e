"""The stack in an account of one's own: deploy it, change it, take it away. Nothing happens before a yes."""
