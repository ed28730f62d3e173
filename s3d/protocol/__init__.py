"""S3's words and bytes: requests into inputs, outputs into responses. Pure; compiled from botocore's service model."""
