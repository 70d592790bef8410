"""Training data that only a retrieval system can make: questions, RAFT contexts, hard negatives, preferences."""
