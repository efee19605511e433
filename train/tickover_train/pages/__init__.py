"""HTML pages of training, evaluation and comparison, and figures in words."""
