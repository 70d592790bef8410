"""Understanding the question before anything is searched. Called by answering."""
