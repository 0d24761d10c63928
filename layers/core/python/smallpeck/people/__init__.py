"""Workers and requesters: what they tell about themselves, and the personal data that is kept sealed."""
