"""The feature vector: what declared features are of a shopper at a moment, online and offline."""
