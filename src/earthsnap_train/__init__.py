"""Train, evaluate and release families of classifiers that recognise species from photographs."""

__version__ = "0.1.0"
