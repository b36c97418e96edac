"""What is known of shoppers and items: one definition of every feature, online and offline."""
