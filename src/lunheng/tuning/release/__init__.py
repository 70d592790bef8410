"""After a run: merged, exported, held against one another (parity), spoken with, served."""
