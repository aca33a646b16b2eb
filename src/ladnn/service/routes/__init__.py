"""One file for each group of pages or operations; each has a `router` that `app` includes."""
