"""Labels on the engine's resources. Additive only: a later version must still read these."""

from collections.abc import Mapping

PROJECT = "io.bluegreen.project"
ROLE = "io.bluegreen.role"  # proxy, slot, shared, state
SERVICE = "io.bluegreen.service"
SLOT = "io.bluegreen.slot"  # where it was created; a kept container has left it
REPLICA = "io.bluegreen.replica"  # 1..
RELEASE = "io.bluegreen.release"  # number
MANIFEST = "io.bluegreen.manifest"  # the whole Release as JSON
IMAGE = "io.bluegreen.image"
CONFIG = "io.bluegreen.config"  # digest of this service's own definition
RESTART = "io.bluegreen.restart"  # the policy to have while it serves or stands by
FILES = "io.bluegreen.files"  # JSON list of the paths of files put into the container
SOURCE = "io.bluegreen.source"  # on images: digest of the build's context, Dockerfile and arguments
BUILT_FOR = "io.bluegreen.built-for"  # on images: the project; PROJECT itself would pass on to every container of it
VERSION = "io.bluegreen.version"  # of the tool

COMPOSE_PROJECT = "com.docker.compose.project"

OCI_VERSION = "org.opencontainers.image.version"
OCI_REVISION = "org.opencontainers.image.revision"
OCI_CREATED = "org.opencontainers.image.created"


def made_for(project: str, labels: Mapping[str, str]) -> bool:
    """Whether bluegreen, or Compose before it, made what carries these labels for a project."""
    return project in (labels.get(PROJECT), labels.get(COMPOSE_PROJECT))
