"""What the parameter modes need beyond PEFT's configurations: one file an idea. Called by ``modes`` and ``run``."""
