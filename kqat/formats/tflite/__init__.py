"""`.tflite` files: written from a program, and read again."""
