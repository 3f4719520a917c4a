"""What runs beside a robot: installs and starts without torch."""
