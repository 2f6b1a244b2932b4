"""The experiments behind the methods' claims, one package or module a method."""
