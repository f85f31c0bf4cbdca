"""What the services say to each other: messages, subjects, claims. Depends on msgspec only."""
