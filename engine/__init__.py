"""The engine: text, model, training, exploration and the service that offers them. No screen."""
