"""Before a run: what the machine has, what a recipe takes, how it is started over many processes."""
