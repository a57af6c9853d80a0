"""What is in `deploy`: alerts, the dashboard, manifests, the image."""
