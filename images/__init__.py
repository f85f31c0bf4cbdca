"""What the images of the services are made with."""
