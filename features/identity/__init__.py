"""Who a shopper is: merged into another, or forgotten."""
