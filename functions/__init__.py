"""What AWS calls: one folder per Lambda function."""
