"""The online system: a site and an interface that test images, keep the results and learn."""
