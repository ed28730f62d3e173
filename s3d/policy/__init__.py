"""What is said in words about objects: textual filters, and the rules that apply to what they match. Pure."""
