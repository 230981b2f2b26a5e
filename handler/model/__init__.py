"""The model bundle: specification, graphs, image and text encoders, labels."""
