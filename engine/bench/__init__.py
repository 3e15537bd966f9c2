"""What a machine can do: `python -m engine.bench SECTION` measures one section of it."""
