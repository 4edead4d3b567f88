"""Charts that real libraries draw: made ahead, kept in folders, asked about like our own."""
