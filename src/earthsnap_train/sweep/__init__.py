"""Several jobs of one declaration: what is varied, what is proposed next, what came of each. Knows nothing of Hydra."""
