"""What a run does, how far it is, and how long it will take: for people who wait for it. No heavy imports."""
