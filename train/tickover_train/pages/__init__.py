"""HTML pages of training, evaluation and comparison."""
