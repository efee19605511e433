"""Control charts as recurrent operators of the graph."""
