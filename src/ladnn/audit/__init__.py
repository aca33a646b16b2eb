"""The audit: the questions that reviewers of such a model ask, one small file for each."""
