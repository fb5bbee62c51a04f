"""Who is told of incidents: routes decide, the outbox of the store keeps, a sender for each sink delivers."""
