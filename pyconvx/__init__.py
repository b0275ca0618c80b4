"""pyconvx: convolutional networks for people who live in scikit-learn."""
