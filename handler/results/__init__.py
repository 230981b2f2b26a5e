"""What is stored of an image: the record, its JSON and item, and the protocol that keeps them in order."""
