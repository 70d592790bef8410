"""For tests of Lunheng and of what is built on it: conformance suites, fakes, real models."""
