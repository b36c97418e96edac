"""What a storefront wants of lists beside the best order: declared, checked, compiled, applied."""
