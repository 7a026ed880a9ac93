"""Blue-green deploys and instant rollback for Compose projects, behind one nginx."""

__version__ = "0.1.0"
