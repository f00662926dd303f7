"""Flow matching as pure maths: tensors and t; nothing about sound or words."""
