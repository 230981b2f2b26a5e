"""The words of an image classifier: WordNet's database -> a table in the repository -> the vocabulary of a bundle."""
