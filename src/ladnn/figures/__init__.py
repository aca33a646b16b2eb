"""The paper's figures and what reviewers ask beside them, each from result files alone."""
