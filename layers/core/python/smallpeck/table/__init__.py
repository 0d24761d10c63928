"""DynamoDB: every key on one screen, the client, and the atomic write."""
