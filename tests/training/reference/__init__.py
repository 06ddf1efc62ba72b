"""The batch maker in NumPy and OpenCV, one picture at a time: the reference for the one in the product."""
