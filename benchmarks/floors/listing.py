"""The floor of `status`: any Python command over the engine imports these two, connects and lists."""

import sys

import click  # noqa: F401 - its import is what is measured
import docker

address, project = sys.argv[1:]
client = docker.APIClient(base_url=address)
client.containers(all=True, filters={"label": f"io.bluegreen.project={project}"})
