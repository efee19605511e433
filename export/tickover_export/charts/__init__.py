"""Control charts: a file for each kind, and the recurrent operators of the graph that run them."""
