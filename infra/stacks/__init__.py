"""What is deployed together: `stateful` keeps data, `service` can be thrown away and made again."""
