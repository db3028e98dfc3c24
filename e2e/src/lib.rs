//! Black-box tests: official clients and a real Kubernetes against the real programs.
