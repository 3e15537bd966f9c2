"""How well a model predicts text it has not been trained on."""
