"""The local AWS: started on loopback, given the very template of the cloud, fed with photos."""
